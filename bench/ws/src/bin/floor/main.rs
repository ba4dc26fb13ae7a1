//! The floor: the least that a WebSocket server on tokio can do, without a JVM and without a framework.
//!
//! `bench-ws-floor [PORT]` listens on 127.0.0.1 (port 0, the default, takes a free one), prints `port=N` and takes every path:
//! a message is echoed, except that connections on `/listen` get what others send on `/shout`. A frame that breaks the
//! protocol, or one that is no text, ends its connection: bench-ws-load sends none.

mod connection;

use std::io::{Result, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;

/// The connections on `/listen`.
type Listeners = Arc<Mutex<Vec<OwnedWriteHalf>>>;

async fn run(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("port={}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let listeners = Listeners::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let listeners = Arc::clone(&listeners);
        // A second task after the handshake: the one that then idles needs no room for it.
        tokio::spawn(async move {
            if let Ok((connection, role)) = connection::open(stream).await {
                tokio::spawn(connection.serve(role, listeners));
            }
        });
    }
}

fn main() -> Result<()> {
    let port = std::env::args().nth(1).map_or(Ok(0), |text| text.parse()).map_err(std::io::Error::other)?;
    // tokio's default is one worker a core.
    tokio::runtime::Builder::new_multi_thread().enable_io().build()?.block_on(run(port))
}
