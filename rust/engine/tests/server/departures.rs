//! Clients that leave while their requests wait, with more behind them than is read: they are missed all the same.

use std::time::Duration;

use httpkit_engine::{CloseCause, Counter, Sent, SocketEndKind, with_exchange};

use crate::support::application::head;
use crate::support::client::{Client, Ending, frame};
use crate::support::{Fixture, eventually, timeouts};

/// Behind a request in progress so much is read.
const READ_AHEAD: usize = 64 * 1024;
/// Less than the sockets hold.
const UNREAD: usize = 50_000;

/// As a client does that is killed, or has unread data: with a RST.
fn reset(client: Client) {
    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// Clients whose requests wait, and behind them so much that nothing more is read.
fn waiting(fixture: &Fixture, count: usize) -> Vec<Client> {
    let bytes_in = || fixture.server.stats()[Counter::BytesIn as usize];
    let before = bytes_in();
    let head = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut clients: Vec<Client> = (0..count).map(|_| fixture.connect()).collect();
    for client in &mut clients {
        client.send(head);
        client.send("x".repeat(READ_AHEAD));
    }
    eventually("full input", || bytes_in() - before >= ((head.len() + READ_AHEAD) * count) as u64);
    for client in &mut clients {
        client.send("x".repeat(UNREAD));
    }
    fixture.app.held(count);
    clients
}

#[test]
fn a_reset_behind_unread_input_ends_the_exchange() {
    let fixture = Fixture::new();
    waiting(&fixture, 20).into_iter().for_each(reset);
    let log = fixture.app.wait("the ends", |log| log.closed.len() == 20);
    assert!(log.closed.iter().all(|(_, cause)| *cause == CloseCause::Client));
    eventually("no connection", || fixture.server.gauges()[0] == 0);
}

#[test]
fn a_half_close_behind_unread_input_ends_what_is_watched_or_streamed() {
    let fixture = Fixture::new();
    let clients = waiting(&fixture, 2);
    assert_eq!(with_exchange(fixture.app.held(1), |exchange| exchange.watch()), Some(true));
    assert_eq!(with_exchange(fixture.app.held(2), |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    clients.iter().for_each(Client::finish);
    let log = fixture.app.wait("the ends", |log| log.closed.len() == 2);
    assert!(log.closed.iter().all(|(_, cause)| *cause == CloseCause::Client));
}

/// Lets so many half seconds pass.
fn pass_half_seconds(fixture: &Fixture, count: usize) {
    for _ in 0..count {
        let mut clock = fixture.connect();
        assert_eq!(clock.get("/clock").status, 200);
        assert_eq!(clock.ending(), Ending::Closed);
    }
}

#[test]
fn a_half_closed_client_keeps_a_stream_whose_pieces_follow() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, 0, 500));
    let mut unread = waiting(&fixture, 1).remove(0);
    let mut read = fixture.connect();
    read.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let ids = [fixture.app.held(1), fixture.app.held(2)];
    for id in ids {
        assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    }
    for client in [&mut unread, &mut read] {
        assert_eq!(client.head().status, 200);
        client.finish();
    }
    // Written by the sender itself, without a way through the outbox.
    let piece = vec![b'p'; 40_000];
    for _ in 0..4 {
        pass_half_seconds(&fixture, 3);
        for (client, id) in [&mut unread, &mut read].into_iter().zip(ids) {
            assert_eq!(with_exchange(id, |exchange| exchange.send(&piece, false)), Some(Sent::Accepted));
            assert_eq!(client.chunk(), piece);
        }
    }
    let log = fixture.app.wait("the ends", |log| log.closed.len() == 2);
    assert!(log.closed.iter().all(|(_, cause)| *cause == CloseCause::Client), "in silence");
}

#[test]
fn a_watched_exchange_that_ends_leaves_the_answer_before_it() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /big/15000 HTTP/1.1\r\nHost: x\r\n\r\nGET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.watch()), Some(true));
    client.finish();
    assert_eq!(fixture.app.wait("the end", |log| !log.closed.is_empty()).closed, [(id, CloseCause::Client)]);
    assert_eq!(client.response().body.len(), 15000);
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn a_half_close_behind_unread_input_leaves_an_ordinary_exchange_its_answer() {
    let fixture = Fixture::new();
    let mut client = waiting(&fixture, 1).remove(0);
    let watched = waiting(&fixture, 1).remove(0);
    let [ordinary, other] = [1, 2].map(|number| fixture.app.held(number));
    assert_eq!(with_exchange(other, |exchange| exchange.watch()), Some(true));
    client.finish();
    watched.finish();
    // The ordinary one, which left before, was looked for as often.
    fixture.app.wait("the end", |log| log.closed.len() == 1);
    assert_eq!(with_exchange(ordinary, |exchange| exchange.respond(head(200), b"held")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.response().text(), "held");
    assert_eq!(fixture.app.log().closed, [(other, CloseCause::Client)]);
}

#[test]
fn a_half_closed_client_that_is_reset_is_missed() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    client.finish();
    reset(client);
    assert_eq!(fixture.app.wait("the end", |log| log.closed.len() == 1).closed, [(id, CloseCause::Client)]);
}

#[test]
fn a_reset_behind_frames_held_back_ends_the_websocket() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send_frame(0x81, b"hold");
    fixture.app.wait("the message", |log| log.messages.len() == 1);
    for _ in 0..UNREAD / 1000 {
        client.send(frame(0x82, &[0; 1000]));
    }
    reset(client);
    let log = fixture.app.wait("the end", |log| log.ends.len() == 1);
    assert_eq!((log.ends[0].1.kind, log.ends[0].1.code), (SocketEndKind::Lost, 1006));
    assert_eq!(log.messages.len(), 1);
}

#[test]
fn frames_held_back_are_delivered_though_the_client_has_closed_its_side() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    client.send_frame(0x81, b"hold");
    fixture.app.wait("the message", |log| log.messages.len() == 1);
    client.send_frame(0x81, b"late");
    client.finish();
    let mut gone = fixture.open_websocket("/ws");
    gone.send_frame(0x81, b"hold");
    fixture.app.wait("the message", |log| log.messages.len() == 2);
    reset(gone);
    // The other, which left before, was looked for as often.
    fixture.app.wait("the end", |log| log.ends.len() == 1);
    with_exchange(id, |exchange| exchange.resume());
    let log = fixture.app.wait("the second end", |log| log.ends.len() == 2);
    assert_eq!(log.messages[2].1, b"late");
}
