//! WebSockets over real sockets: the way of messages in and out, and what holds either up.

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{Counter, Dispatch, MessageKind, Sent, with_exchange};

use crate::support::Fixture;
use crate::support::client::{frame, upgrade_request};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

#[test]
fn the_handshake_is_a_bare_101() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send(upgrade_request("/ws"));
    let response = client.head();
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((response.status, names.as_slice()), (101, ["Upgrade", "Connection", "Date"].as_slice()));
}

#[test]
fn messages_of_every_size_come_back() {
    for dispatch in [Dispatch::Pool, Dispatch::Adaptive, Dispatch::InPlace] {
        let fixture = Fixture::with(|config| config.dispatch = dispatch);
        let mut client = fixture.open_websocket("/ws");
        for length in [0, 1, 125, 126, 127, 2047, 2048, 65535, 65536, 200_000, 1024 * 1024] {
            for first in [TEXT, BINARY] {
                let payload = vec![b'm'; length];
                client.send_frame(first, &payload);
                assert_eq!(client.frame(), (first, payload), "{length}");
            }
        }
    }
}

#[test]
fn frames_behind_the_request_are_the_first_messages() {
    let fixture = Fixture::new();
    for cut in [0, 1, 7] {
        let mut client = fixture.connect();
        let frames = [frame(TEXT, b"first"), frame(BINARY, b"second")].concat();
        client.send([upgrade_request("/ws").as_bytes(), &frames[..cut]].concat());
        assert_eq!(client.head().status, 101);
        client.send(&frames[cut..]);
        assert_eq!(client.frame(), (TEXT, b"first".to_vec()));
        assert_eq!(client.frame(), (BINARY, b"second".to_vec()));
    }
}

#[test]
fn frames_before_an_upgrade_from_another_thread_wait_for_it() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send([upgrade_request("/hold").as_bytes(), &frame(TEXT, b"early")].concat());
    let id = fixture.app.held(1);
    let headers = [(b"Upgrade".as_slice(), b"websocket".as_slice())];
    let upgraded = with_exchange(id, |exchange| exchange.upgrade(headers, httpkit_engine::UpgradeOptions::default()));
    assert_eq!(upgraded, Some(Ok(Sent::Accepted)));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.frame(), (TEXT, b"early".to_vec()));
}

#[test]
fn many_messages_in_one_read_are_answered_in_order() {
    for dispatch in [Dispatch::Pool, Dispatch::InPlace] {
        let fixture = Fixture::with(|config| config.dispatch = dispatch);
        let mut client = fixture.open_websocket("/ws");
        let texts: Vec<_> = (0..500).map(|number| format!("message {number}")).collect();
        client.send(texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect::<Vec<_>>());
        for text in texts {
            assert_eq!(client.frame(), (TEXT, text.into_bytes()));
        }
        let counters = fixture.server.stats();
        assert_eq!((counters[Counter::MessagesIn as usize], counters[Counter::MessagesOut as usize]), (500, 500));
    }
}

#[test]
fn pings_are_answered_before_the_application_hears_of_them() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(PING, b"are you there"), frame(PONG, b"by the way"), frame(TEXT, b"done")].concat());
    assert_eq!(client.frame(), (PONG, b"are you there".to_vec()));
    assert_eq!(client.frame(), (TEXT, b"done".to_vec()));
    let kinds: Vec<_> = fixture.app.log().messages.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [MessageKind::Ping, MessageKind::Pong, MessageKind::Text]);
}

#[test]
fn an_application_may_answer_pings_itself() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws-own-pong");
    client.send([frame(PING, b"?"), frame(TEXT, b"done")].concat());
    assert_eq!(client.frame(), (TEXT, b"done".to_vec()));
}

#[test]
fn a_blocked_callback_holds_up_neither_pings_nor_what_is_sent_to_its_client() {
    let fixture = Fixture::with(|config| config.dispatch = Dispatch::InPlace);
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    client.send_frame(TEXT, b"block");
    fixture.app.wait("the call", |log| !log.messages.is_empty());
    client.send_frame(PING, b"still there?");
    assert_eq!(client.frame(), (PONG, b"still there?".to_vec()));
    assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Text, b"news")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.frame(), (TEXT, b"news".to_vec()));
    fixture.app.release(1);
    assert_eq!(client.frame(), (TEXT, b"block".to_vec()));
}

#[test]
fn a_hold_stops_messages_until_it_is_taken_back() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    client.send([frame(TEXT, b"hold"), frame(TEXT, b"later"), frame(PING, b"last")].concat());
    fixture.app.wait("the hold", |log| !log.messages.is_empty());
    // Another connection's message shows that the held one's would have come by now.
    let mut other = fixture.open_websocket("/ws");
    other.send_frame(TEXT, b"other");
    assert_eq!(other.frame(), (TEXT, b"other".to_vec()));
    assert_eq!(fixture.app.log().messages.len(), 2);
    let _ = with_exchange(id, |exchange| exchange.resume());
    assert_eq!(client.frame(), (TEXT, b"later".to_vec()));
    assert_eq!(client.frame(), (PONG, b"last".to_vec()));
}

#[test]
fn a_hold_may_be_taken_back_before_it_is_reported() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"resume early"), frame(TEXT, b"next")].concat());
    assert_eq!(client.frame(), (TEXT, b"next".to_vec()));
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    let message = frame(BINARY, &vec![b'x'; 100_000]);
    client.stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let mut sent: usize = 0;
    // Stops with a time-out once both kernels' buffers and the window are full; each message is written in full before that.
    while std::io::Write::write_all(&mut client.stream, &message).is_ok() {
        sent += 1;
        assert!(sent < 2000, "200 MB went somewhere");
    }
    let echoed = fixture.app.log().messages.len();
    assert!(echoed <= sent + 1);
    for _ in 0..echoed.saturating_sub(1) {
        assert_eq!(client.frame().1.len(), 100_000);
    }
}
