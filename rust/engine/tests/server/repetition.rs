//! News that the application could not take in, as a JVM without memory cannot: they are told again until it has.

use httpkit_engine::{BodyPiece, CloseCause, Sent, SocketEndKind, with_exchange};

use crate::support::application::{PIECE, head};
use crate::support::client::Ending;
use crate::support::{Fixture, eventually};

/// More often than one attempt and its repetition.
const DEAF: usize = 3;

#[test]
fn ends_are_told_until_they_are_heard_and_then_no_more() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let socket = fixture.open_websocket("/ws");
    let closing = fixture.open_websocket("/ws");
    fixture.app.deafen(DEAF);
    assert_eq!(with_exchange(id, |exchange| exchange.watch()), Some(true));
    drop(client);
    drop(socket);
    let log = fixture.app.wait("the ends", |log| log.closed.len() + log.ends.len() == 2);
    assert_eq!(log.closed, [(id, CloseCause::Client)]);
    assert_eq!(
        (log.ends[0].1.kind, log.ends_before_closes),
        (SocketEndKind::Lost, 1),
        "and the connection is forgotten only then"
    );
    eventually("one connection left", || fixture.server.gauges()[0] == 1);
    fixture.app.deafen(DEAF);
    let mut client = closing;
    client.send_frame(0x88, b"\x03\xe8bye");
    let log = fixture.app.wait("the client's Close", |log| log.ends.len() == 2);
    assert_eq!((log.ends[1].1.kind, log.ends[1].1.code, log.ends[1].1.reason.as_str()), (SocketEndKind::Client, 1000, "bye"));
    eventually("no connection left", || fixture.server.gauges()[0] == 0);
    // Behind all that is still to be repeated, if anything is.
    fixture.app.deafen(DEAF);
    fixture.server.drain();
    let log = fixture.app.wait("the end of all", |log| log.drained > 0);
    assert_eq!((log.closed.len(), log.ends.len(), log.drained), (1, 2, 1));
}

#[test]
fn what_is_told_again_is_told_before_the_connection_is_forgotten() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    fixture.app.deafen(1);
    fixture.server.drain();
    assert_eq!(client.frame(), (0x88, b"\x03\xe9".to_vec()));
    client.send_frame(0x88, b"\x03\xe9");
    assert_eq!(client.ending(), Ending::Closed);
    let log = fixture.app.wait("the end of all", |log| log.drained == 1);
    assert_eq!((log.ends.len(), log.ends_before_closes), (1, 1));
}

#[test]
fn room_is_told_until_it_is_heard() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    let piece = vec![b'p'; PIECE];
    let mut pieces = 0;
    while with_exchange(id, |exchange| exchange.send(&piece, false)) == Some(Sent::Accepted) {
        pieces += 1;
    }
    fixture.app.deafen(DEAF);
    assert_eq!(client.head().status, 200);
    for _ in 0..=pieces {
        assert_eq!(client.chunk().len(), PIECE);
    }
    assert_eq!(fixture.app.wait("room", |log| !log.writable.is_empty()).writable, [id]);
    assert_eq!(fixture.app.deaf(), 0);
}

#[test]
fn more_of_a_body_is_told_until_it_is_heard() {
    let fixture = Fixture::with(|config| config.limits.stream_above = 1000);
    let mut client = fixture.connect();
    client.send("POST /hold HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.receive()), Some(BodyPiece::Later));
    fixture.app.deafen(DEAF);
    client.send("3\r\nabc\r\n");
    assert_eq!(fixture.app.wait("a piece", |log| !log.readable.is_empty()).readable, [id]);
    assert_eq!(with_exchange(id, |exchange| exchange.receive()), Some(BodyPiece::Bytes(b"abc".to_vec())));
}
