//! Bare hyper: the fastest plain HTTP/1.1 answer that hyper and tokio give without a JVM.
//!
//! `bench-hyper [PORT]` listens on 127.0.0.1 (port 0, the default, takes a free one), prints
//! `port=N` and answers every request with the same text. bench/run.py drives it.

use std::convert::Infallible;
use std::io::Write;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

type Error = Box<dyn std::error::Error>;

/// The answer of bench/servers/plain.clj, byte for byte; `Date` and `Content-Length` are hyper's.
async fn hello(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn serve(stream: TcpStream) {
    // A connection that its client cuts is the normal end of a load run: there is nobody to tell.
    let _ = http1::Builder::new()
        // Answers to pipelined requests leave in one write, as they do in the engine.
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(hello))
        .await;
}

async fn run(port: u16) -> Result<(), Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("port={}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

fn main() -> Result<(), Error> {
    let port = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    // tokio's default is one worker a core.
    tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?
        .block_on(run(port))
}
