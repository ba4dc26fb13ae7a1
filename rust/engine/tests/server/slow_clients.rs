//! Clients that do not take what is sent to them (docs/RELIABILITY.md, R7): each costs a bounded amount of memory, and so do all of
//! them together.

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{ExchangeId, Sent, with_exchange};

use crate::support::application::head;
use crate::support::client::Ending;
use crate::support::{Fixture, eventually};

const BINARY: u8 = 0x82;
/// What one client may have waiting though all together have too much.
const WINDOW: usize = 256 * 1024;

fn send(id: ExchangeId, message: &[u8]) -> bool {
    with_exchange(id, |exchange| exchange.send_message(Opcode::Binary, message)).is_some_and(|sent| sent != Ok(Sent::NotOpen))
}

fn pending(fixture: &Fixture) -> usize {
    fixture.server.gauges()[1] as usize
}

#[test]
fn a_client_above_the_limit_is_closed_with_1013() {
    let fixture = Fixture::with(|config| config.max_pending = 1024 * 1024);
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    let piece = vec![b'p'; 256 * 1024];
    let mut accepted = 0;
    while send(id, &piece) {
        accepted += 1;
        assert!(accepted < 1000, "250 MB went somewhere");
    }
    assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Binary, &piece)), Some(Ok(Sent::NotOpen)));
    let log = fixture.app.wait("the end", |log| log.ends.len() == 1);
    assert_eq!(log.ends[0].1.code, 1013);
    // What was accepted arrives, and then the Close frame.
    for _ in 0..accepted {
        assert_eq!(client.frame(), (BINARY, piece.clone()));
    }
    assert_eq!(client.frame(), (0x88, 1013u16.to_be_bytes().to_vec()));
    client.send_frame(0x88, &1013u16.to_be_bytes());
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().ends.len(), 1);
}

#[test]
fn one_message_is_taken_however_long() {
    let fixture = Fixture::with(|config| config.max_pending = 1000);
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    let long = vec![b'l'; 20 * 1024 * 1024];
    assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Binary, &long)), Some(Ok(Sent::Full)));
    assert_eq!(client.frame(), (BINARY, long));
    fixture.app.wait("room", |log| log.writable == [id]);
}

#[test]
fn a_stream_above_the_limit_is_cut() {
    let fixture = Fixture::with(|config| config.max_pending = 1024 * 1024);
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let piece = vec![b'p'; 256 * 1024];
    assert!(with_exchange(id, |exchange| exchange.start(head(200))).is_some());
    let mut accepted = 0;
    while with_exchange(id, |exchange| exchange.send(&piece, false)).is_some_and(|sent| sent != Sent::NotOpen) {
        accepted += 1;
        assert!(accepted < 1000, "250 MB went somewhere");
    }
    fixture.app.wait("the end", |log| log.closed.len() == 1);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Reset);
}

#[test]
fn clients_that_are_above_the_limit_together_are_closed() {
    const LIMIT: usize = 4 * 1024 * 1024;
    const PIECE: usize = 64 * 1024;
    let fixture = Fixture::with(|config| config.max_pending_total = LIMIT as u64);
    let stalled: Vec<_> = (0..8).map(|_| fixture.open_websocket("/ws")).collect();
    let mut open_ids: Vec<_> = (1..=stalled.len()).map(|number| fixture.app.held(number)).collect();
    let piece = vec![b'p'; PIECE];
    let (mut most, mut rounds) = (0, 0);
    while !open_ids.is_empty() {
        open_ids.retain(|id| send(*id, &piece));
        most = most.max(pending(&fixture));
        rounds += 1;
        assert!(rounds < 1000, "{} of 64 MB wait", pending(&fixture));
    }
    assert!(most > LIMIT, "closed too early, at {most}");
    assert!(most < LIMIT + stalled.len() * (WINDOW + PIECE), "{most} waited");
    let log = fixture.app.wait("the ends", |log| log.ends.len() == stalled.len());
    assert!(log.ends.iter().all(|(_, end)| end.code == 1013));
    // Who reads is not to blame.
    let mut reader = fixture.open_websocket("/ws");
    let id = fixture.app.held(stalled.len() + 1);
    for _ in 0..100 {
        assert!(send(id, &piece));
        assert_eq!(reader.frame(), (BINARY, piece.clone()));
    }
    drop(stalled);
    eventually("nothing to wait for nobody", || pending(&fixture) == 0);
}
