//! The close after an answer (RFC 9112 section 9.6): a client that is still reading may send what nobody wants, and loses nothing.

use std::time::{Duration, Instant};

use httpkit_engine::{CloseCause, Counter, ResponseHead, Sent, with_exchange};

use crate::support::client::{Client, Ending};
use crate::support::{Fixture, eventually};

/// Reads as little as makes the server write all of it.
fn take_until_written(fixture: &Fixture, client: &mut Client, length: usize) -> usize {
    let mut taken = 0;
    while fixture.server.stats()[Counter::BytesOut as usize] < length as u64 {
        taken += client.take(1000).len();
    }
    taken
}

/// Likewise until the next request has come.
fn take_until_asked(fixture: &Fixture, client: &mut Client) -> usize {
    let mut taken = 0;
    while fixture.app.held_count() == 0 {
        taken += client.take(1000).len();
    }
    taken
}

fn send_late(client: &mut Client) {
    for _ in 0..3 {
        client.send("\r\n");
    }
}

#[test]
fn a_late_byte_does_not_destroy_an_answer() {
    let length = 2_000_000;
    for (path, least) in
        [("/big/2000000", length), ("/file/2000000", length), ("/source/2000000", length), ("/stream/200000", length)]
    {
        let fixture = Fixture::new();
        let mut client = fixture.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.header("connection"), Some("Close"));
        let taken = take_until_written(&fixture, &mut client, least);
        send_late(&mut client);
        let mut rest = Vec::new();
        assert_eq!(client.rest(&mut rest), Ending::Closed, "{path}");
        assert!(taken + rest.len() >= least, "{path}: {} of {least}", taken + rest.len());
        assert!(head.header("content-length").is_some() || rest.ends_with(b"\r\n0\r\n\r\n"), "{path}");
        drop(client);
        eventually("the end of the connection", || fixture.server.gauges()[0] == 0);
    }
}

#[test]
fn nor_one_that_a_drain_finds_on_its_way() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /big/30000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().status, 200);
    fixture.server.drain();
    let taken = take_until_written(&fixture, &mut client, 30_000_000);
    send_late(&mut client);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Closed);
    assert_eq!(taken + rest.len(), 30_000_000);
    drop(client);
    fixture.app.wait("the last connection", |log| log.drained == 1);
}

#[test]
fn nor_a_short_one_where_the_client_may_have_more_requests() {
    let fixture = Fixture::new();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // So little that most of the answer waits in the server's socket.
    socket.set_recv_buffer_size(1).unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], fixture.server.port().unwrap()));
    socket.connect(&address.into()).unwrap();
    let mut client = Client::over(socket.into());
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let (body, headers) = (vec![b'b'; 15_000], [(b"connection".as_slice(), b"close".as_slice())]);
    let head = ResponseHead { status: 200, headers, declared_length: None };
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head, &body)), Some(Ok(Sent::Accepted)));
    eventually("the answer", || fixture.server.stats()[Counter::BytesOut as usize] > 15_000);
    client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    let response = client.response();
    assert_eq!((response.header("connection"), response.body.len()), (Some("close"), 15_000));
    assert_eq!(client.ending(), Ending::Closed);
    drop(client);
    eventually("the end of the connection", || fixture.server.gauges()[0] == 0);
    assert_eq!(fixture.app.log().requests, ["/hold"]);
}

#[test]
fn nor_does_a_drain_a_long_one_after_which_the_client_would_have_gone_on() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let (body, headers) = (vec![b'b'; 2_000_000], [(b"connection".as_slice(), b"close".as_slice())]);
    let head = ResponseHead { status: 200, headers, declared_length: None };
    assert!(with_exchange(id, |exchange| exchange.respond(head, &body)).is_some_and(|sent| sent.is_ok()));
    let taken = take_until_written(&fixture, &mut client, body.len());
    fixture.server.drain();
    send_late(&mut client);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Closed);
    assert!(taken + rest.len() >= body.len());
    drop(client);
    fixture.app.wait("the last connection", |log| log.drained == 1);
}

#[test]
fn nor_does_the_end_of_an_exchange_destroy_the_answers_before_it() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /big/3000000 HTTP/1.1\r\nHost: x\r\n\r\nGET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let taken = take_until_asked(&fixture, &mut client);
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.abort()), Some(()));
    let log = fixture.app.wait("the end", |log| !log.closed.is_empty());
    assert_eq!(log.closed, [(id, CloseCause::Server)]);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Closed);
    assert_eq!(taken + rest.len(), 3_000_000);
    drop(client);
    eventually("the end of the connection", || fixture.server.gauges()[0] == 0);
    assert_eq!(fixture.app.log().closed.len(), 1);
}

#[test]
fn nor_of_a_stream_what_it_has_sent() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let head = ResponseHead { status: 200, headers: [], declared_length: None };
    assert!(with_exchange(id, |exchange| exchange.start(head)).is_some_and(|sent| sent.is_ok()));
    assert!(with_exchange(id, |exchange| exchange.send(&vec![b's'; 6_000_000], false)).is_some());
    assert_eq!(with_exchange(id, |exchange| exchange.abort()), Some(()));
    assert_eq!(client.head().status, 200);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Closed);
    assert_eq!(rest.iter().filter(|&&byte| byte == b's').count(), 6_000_000);
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn a_short_answer_waits_for_nobody_and_no_client_is_waited_for_for_ever() {
    let fixture = Fixture::new();
    let open = || fixture.server.gauges()[0];
    let mut short = fixture.connect();
    short.send("GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(short.response().text(), "/short");
    assert_eq!(short.ending(), Ending::Closed);
    // A socket that lingered would take it.
    short.send("\r\n");
    short.wait_for_reset();
    eventually("the end of the short one", || open() == 0);
    let mut long = fixture.connect();
    long.send("GET /big/100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(long.response().body.len(), 100_000);
    assert_eq!(long.ending(), Ending::Closed);
    eventually("the end of the long one", || open() == 0);
}

#[test]
fn a_client_that_has_closed_its_side_is_not_waited_for() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /big/100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    client.finish();
    assert_eq!(client.response().body.len(), 100_000);
    assert_eq!(client.ending(), Ending::Closed);
    eventually("the end", || fixture.server.gauges()[0] == 0);
}

#[test]
fn a_refusal_waits_for_a_client_that_sends_on_before_it_reads() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n");
    let begin = Instant::now();
    // Longer than one that is silent is waited for.
    while begin.elapsed() < Duration::from_millis(2500) {
        client.send([b'x'; 100]);
    }
    assert_eq!(client.response().status, 413);
    assert_eq!(client.ending(), Ending::Closed);
    eventually("the end of one that is silent", || fixture.server.gauges()[0] == 0);
}
