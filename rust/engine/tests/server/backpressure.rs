//! Senders are told to wait, and when to go on (docs/RELIABILITY.md, R3): what a client does not take must not pile up.

use httpkit_engine::{CloseCause, Sent};

use crate::support::Fixture;
use crate::support::application::{PIECE, spawn_flood};

#[test]
fn a_stream_waits_for_its_reader_and_loses_nothing() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let pieces = 400;
    let sender = spawn_flood(&fixture.app, fixture.app.held(1), pieces);
    let log = fixture.app.wait("a full outbox", |log| log.flood.contains(&Sent::Full));
    assert!(log.flood.len() < pieces, "sent {} pieces to a client that reads nothing", log.flood.len());
    let response = client.response();
    assert_eq!(response.body.len(), pieces * PIECE);
    assert!(response.body.iter().all(|&byte| byte == b'p'));
    sender.join().unwrap();
    let log = fixture.app.log();
    let full = log.flood.iter().filter(|sent| **sent == Sent::Full).count();
    // The last call may come after the last wait: a client that drains the outbox empties it below the mark.
    assert!((full.saturating_sub(1)..=full).contains(&log.writable.len()), "{full} times full, {} writable", log.writable.len());
    assert_eq!(client.get("/next").text(), "/next");
    assert_eq!(log.closed, []);
}

#[test]
fn a_full_outbox_stays_full_until_it_is_read() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let sender = spawn_flood(&fixture.app, fixture.app.held(1), 4000);
    let full = fixture.app.wait("a full outbox", |log| log.flood.contains(&Sent::Full)).flood.len();
    // Others are served meanwhile, so there was time to say something.
    for _ in 0..100 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    let log = fixture.app.log();
    assert_eq!((log.flood.len(), log.writable.len()), (full, 0));
    fixture.server.close();
    sender.join().unwrap();
    client.wait_for_end();
    let log = fixture.app.log();
    assert_eq!(log.closed.len(), 1);
    assert_eq!(log.closed[0].1, CloseCause::Server);
    assert_eq!(log.writable, []);
}

#[test]
fn a_client_that_goes_away_ends_its_stream() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        let mut client = fixture.connect();
        let number = fixture.app.held_count() + 1;
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        let id = fixture.app.held(number);
        let sender = spawn_flood(&fixture.app, id, 1_000_000);
        client.head();
        client.take(PIECE);
        drop(client);
        sender.join().unwrap();
        let log = fixture.app.wait("the end", |log| log.closed.iter().any(|(closed, _)| *closed == id));
        assert_eq!(log.closed.iter().filter(|(closed, _)| *closed == id).count(), 1);
        assert_eq!(log.closed.last().unwrap().1, CloseCause::Client);
    }
}
