//! How WebSockets end (RFC 6455 section 7): whoever begins, one Close frame each, and the application hears of it once.

use std::time::{Duration, Instant};

use httpkit_engine::websocket::{InvalidClose, Opcode};
use httpkit_engine::{Exchange, Sent, SocketEnd, SocketEndKind, with_exchange};

use crate::support::client::{Client, Ending, frame};
use crate::support::{Fixture, eventually, timeouts};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn end(fixture: &Fixture) -> SocketEnd {
    fixture.app.wait("the end", |log| !log.ends.is_empty()).ends[0].1.clone()
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

#[test]
fn the_clients_close_is_echoed_and_the_connection_closed() {
    for (payload, code, reason) in [(close(1000, "bye"), 1000, "bye"), (close(3999, ""), 3999, ""), (Vec::new(), 1005, "")] {
        let fixture = Fixture::new();
        let mut client = fixture.open_websocket("/ws");
        client.send([frame(CLOSE, &payload), frame(TEXT, b"too late")].concat());
        assert_eq!(client.frame(), (CLOSE, payload));
        assert_eq!(client.ending(), Ending::Closed);
        assert_eq!(end(&fixture), SocketEnd { kind: SocketEndKind::Client, code, reason: reason.into() });
        let log = fixture.app.log();
        assert_eq!(log.messages, []);
        assert_eq!(log.ends_before_closes, 1, "told after the reply");
    }
}

#[test]
fn a_server_that_is_cut_has_drained_once_every_end_has_been_heard() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send_frame(CLOSE, &close(1000, "block"));
    assert_eq!(end(&fixture).reason, "block");
    fixture.server.close();
    assert_eq!(fixture.app.log().drained, 0, "the application still hears of the end");
    fixture.app.release(1);
    fixture.app.wait("the end of all", |log| log.drained == 1);
}

#[test]
fn the_clients_close_is_read_although_its_messages_were_held_back() {
    for drains in [false, true] {
        let fixture = Fixture::new();
        let mut client = fixture.open_websocket("/ws");
        client.send_frame(TEXT, b"hold");
        fixture.app.wait("the message", |log| log.messages.len() == 1);
        fixture.settle();
        if drains {
            fixture.server.drain();
        } else {
            let closed = with_exchange(fixture.app.held(1), |exchange| exchange.close_websocket(1001, ""));
            assert_eq!(closed, Some(Ok(Sent::Accepted)));
        }
        assert_eq!(client.frame(), (CLOSE, close(1001, "")));
        client.send_frame(CLOSE, &close(1001, ""));
        // After the time for an answer it would be a reset.
        assert_eq!(client.ending(), Ending::Closed);
    }
}

#[test]
fn a_drain_does_not_wait_for_answers_to_one_that_broke_the_protocol() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"answer never"), frame(0xc1, b"hi")].concat());
    fixture.app.wait("the violation", |log| log.broken == 1);
    fixture.settle();
    fixture.server.drain();
    assert_eq!(client.frame(), (CLOSE, close(1002, "")));
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn a_violation_is_answered_with_its_code_and_told_with_its_text() {
    for (bytes, code, reason) in [
        (vec![0x81, 0x02, b'h', b'i'], 1002, "unmasked client to server frame"),
        (frame(0xc1, b"hi"), 1002, "unsupported websocket extension data"),
        (frame(TEXT, &[0xff]), 1007, "Invalid UTF-8 websocket payload"),
    ] {
        let fixture = Fixture::new();
        let mut client = fixture.open_websocket("/ws");
        client.send(bytes);
        assert_eq!(client.frame(), (CLOSE, close(code, "")));
        // Still sending: that must not cost it the Close frame.
        client.send_frame(TEXT, b"more");
        assert_eq!(client.ending(), Ending::Closed);
        assert_eq!(end(&fixture), SocketEnd { kind: SocketEndKind::Violation, code, reason: reason.into() });
    }
}

#[test]
fn answers_to_earlier_messages_come_before_the_close_of_a_violation() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"answer later"), frame(0xc1, b"hi")].concat());
    let id = fixture.app.held(2);
    fixture.app.wait("the violation", |log| log.broken == 1);
    assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Text, b"answer")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.frame(), (TEXT, b"answer".to_vec()));
    assert_eq!(fixture.app.log().ends, []);
    with_exchange(id, |exchange| exchange.resume());
    assert_eq!(client.frame(), (CLOSE, close(1002, "")));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(end(&fixture).kind, SocketEndKind::Violation);
}

#[test]
fn nothing_comes_after_the_applications_close_of_a_violator() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"answer never"), frame(0xc1, b"hi")].concat());
    let id = fixture.app.held(2);
    fixture.app.wait("the violation", |log| log.broken == 1);
    let close = |code| with_exchange(id, |exchange| exchange.close_websocket(code, ""));
    assert_eq!(close(1000), Some(Ok(Sent::Accepted)));
    let late = with_exchange(id, |exchange| exchange.send_message(Opcode::Text, b"late"));
    assert!(matches!(late, None | Some(Ok(Sent::NotOpen))), "{late:?}");
    assert!(matches!(close(1000), None | Some(Ok(Sent::NotOpen))));
    assert_eq!(client.frame(), (CLOSE, self::close(1002, "")));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().ends, [], "who has closed it is not told");
}

#[test]
fn a_violation_is_answered_though_earlier_messages_never_are() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"answer never"), frame(0xc1, b"hi")].concat());
    assert_eq!(client.frame(), (CLOSE, close(1002, "")));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(end(&fixture).kind, SocketEndKind::Violation);
    // A client that does not wait for its Close frame.
    let mut client = fixture.open_websocket("/ws");
    client.send([frame(TEXT, b"answer never"), frame(0xc1, b"hi")].concat());
    drop(client);
    let log = fixture.app.wait("both ends", |log| log.ends.len() == 2);
    assert_eq!(log.ends[1].1.kind, SocketEndKind::Violation);
}

#[test]
fn a_message_above_the_limit_is_refused_by_its_head() {
    for path in ["/ws", "/ws-small/1000"] {
        let fixture = Fixture::with(|config| config.max_message = if path == "/ws" { 1000 } else { 4_000_000 });
        let mut client = fixture.open_websocket(path);
        client.send_frame(TEXT, &[b'x'; 1000]);
        assert_eq!(client.frame().1.len(), 1000);
        client.send([0x81, 0x80 | 126, 0x03, 0xe9, 0, 0, 0, 0]);
        assert_eq!(client.frame(), (CLOSE, close(1009, "")));
        assert_eq!(end(&fixture).code, 1009);
    }
}

#[test]
fn the_applications_close_waits_for_the_clients() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    let call = |code, reason: &str| with_exchange(id, |exchange| exchange.close_websocket(code, reason));
    assert_eq!(call(1005, ""), Some(Err(InvalidClose::Code(1005))));
    assert_eq!(call(1000, &"x".repeat(124)), Some(Err(InvalidClose::Reason)));
    assert_eq!(call(4000, "enough"), Some(Ok(Sent::Accepted)));
    assert_eq!(call(1000, ""), Some(Ok(Sent::NotOpen)));
    assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Text, b"late")), Some(Ok(Sent::NotOpen)));
    assert_eq!(client.frame(), (CLOSE, close(4000, "enough")));
    // Ignored, and no pong.
    client.send([frame(TEXT, b"ignored"), frame(PING, b"ignored"), frame(CLOSE, &close(4000, ""))].concat());
    assert_eq!(client.ending(), Ending::Closed);
    let log = fixture.app.log();
    assert_eq!((log.messages.len(), log.ends.len()), (0, 0));
}

#[test]
fn a_client_that_does_not_answer_a_close_is_cut_off_after_a_while() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.close_websocket(1000, "")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.frame(), (CLOSE, close(1000, "")));
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_after_the_close_whatever_still_waits_for_it() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, 0, 0));
    let client = fixture.open_websocket("/ws");
    let id = fixture.app.held(1);
    let send = |exchange: &Exchange<'_>| exchange.send_message(Opcode::Binary, &[0; 1_000_000]).unwrap();
    while with_exchange(id, send) != Some(Sent::Full) {}
    assert_eq!(with_exchange(id, |exchange| exchange.close_websocket(1000, "")), Some(Ok(Sent::Accepted)));
    eventually("no connection and nothing that waits", || fixture.server.gauges() == [0, 0]);
    client.wait_for_reset();
}

#[test]
fn a_lost_connection_is_told() {
    let fixture = Fixture::new();
    let clients = [
        |client: Client| drop(client),
        |mut client: Client| {
            client.send(&frame(TEXT, b"half")[..7]);
            client.finish();
            assert_eq!(client.ending(), Ending::Closed);
        },
    ];
    for (count, lose) in clients.into_iter().enumerate() {
        lose(fixture.open_websocket("/ws"));
        let log = fixture.app.wait("the end", |log| log.ends.len() > count);
        assert_eq!(log.ends[count].1, SocketEnd { kind: SocketEndKind::Lost, code: 1006, reason: String::new() });
    }
}

#[test]
fn a_server_that_drains_says_so_and_waits_for_the_answer() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    fixture.server.drain();
    assert_eq!(client.frame(), (CLOSE, close(1001, "")));
    assert_eq!(end(&fixture), SocketEnd { kind: SocketEndKind::Server, code: 1001, reason: String::new() });
    assert_eq!(fixture.app.log().drained, 0);
    client.send_frame(CLOSE, &close(1001, ""));
    assert_eq!(client.ending(), Ending::Closed);
    fixture.app.wait("the last connection", |log| log.drained == 1);
    fixture.server.close();
    assert_eq!(fixture.app.log().ends.len(), 1);
}

#[test]
fn a_server_that_drains_leaves_a_closing_handshake_its_reply() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    client.send_frame(CLOSE, &close(1000, "block"));
    // The application hears of it before the reply is written.
    fixture.app.wait("the end", |log| log.ends.len() == 1);
    fixture.server.drain();
    fixture.app.release(1);
    assert_eq!(client.frame(), (CLOSE, close(1000, "block")));
    assert_eq!(client.ending(), Ending::Closed);
    let log = fixture.app.wait("the last connection", |log| log.drained == 1);
    assert_eq!((log.ends.len(), log.ends[0].1.kind), (1, SocketEndKind::Client));
}

#[test]
fn a_server_that_closes_cuts_what_is_left() {
    let fixture = Fixture::new();
    let mut client = fixture.open_websocket("/ws");
    fixture.server.close();
    assert_eq!(end(&fixture).kind, SocketEndKind::Server);
    client.wait_for_end();
    assert_eq!(fixture.app.log().ends.len(), 1);
}

#[test]
fn an_idle_websocket_is_closed_and_a_busy_one_is_not() {
    let fixture = Fixture::new();
    let mut idle = fixture.open_websocket("/ws/100");
    let mut busy = fixture.open_websocket("/ws/1000");
    assert_eq!(idle.frame(), (CLOSE, close(1001, "Idle Timeout")));
    idle.send_frame(CLOSE, &close(1001, ""));
    assert_eq!(idle.ending(), Ending::Closed);
    assert_eq!(end(&fixture), SocketEnd { kind: SocketEndKind::Idle, code: 1001, reason: "Idle Timeout".into() });
    busy.send_frame(TEXT, b"busy");
    assert_eq!(busy.frame(), (TEXT, b"busy".to_vec()));
}

#[test]
fn a_peer_that_answers_no_ping_is_reaped() {
    let fixture = Fixture::with(|config| config.ping_interval_millis = 100);
    let (mut dead, mut alive) = (fixture.open_websocket("/ws"), fixture.open_websocket("/ws"));
    let dead_id = fixture.app.held(1);
    for _ in 0..3 {
        assert_eq!(alive.frame(), (PING, Vec::new()));
        alive.send_frame(PONG, b"");
    }
    let log = fixture.app.wait("the end", |log| !log.ends.is_empty());
    assert_eq!(log.ends, [(dead_id, SocketEnd { kind: SocketEndKind::Idle, code: 1001, reason: "Idle Timeout".into() })]);
    assert_eq!(dead.frame(), (PING, Vec::new()));
    dead.wait_for_end();
    alive.send_frame(TEXT, b"alive");
    let answer = loop {
        let frame = alive.frame();
        if frame.0 != PING {
            break frame;
        }
        alive.send_frame(PONG, b"");
    };
    assert_eq!(answer, (TEXT, b"alive".to_vec()));
}

#[test]
fn one_that_only_answers_pings_is_pinged_in_every_period() {
    let interval = Duration::from_millis(400);
    let fixture = Fixture::with(|config| config.ping_interval_millis = 400);
    let mut client = fixture.open_websocket("/ws");
    let pings: Vec<Instant> = (0..5)
        .map(|_| {
            assert_eq!(client.frame(), (PING, Vec::new()));
            client.send_frame(PONG, b"");
            Instant::now()
        })
        .collect();
    let quickest = pings.windows(2).map(|pair| pair[1] - pair[0]).min();
    assert!(quickest < Some(interval * 3 / 2), "a proxy would have closed it: {quickest:?}");
}

#[test]
fn a_pong_counts_whatever_is_waited_for_behind_it() {
    for way in ["a blocked write", "a message in two parts"] {
        let fixture = Fixture::with(|config| {
            config.ping_interval_millis = 1000;
            config.timeouts = timeouts(0, 800, 0, 0);
        });
        let mut client = fixture.open_websocket("/ws");
        let id = fixture.app.held(1);
        assert_eq!(client.frame(), (PING, Vec::new()));
        fixture.deliver(&mut client, &frame(PONG, b""));
        if way == "a blocked write" {
            let message = vec![b'm'; 10_000_000];
            assert_eq!(with_exchange(id, |exchange| exchange.send_message(Opcode::Binary, &message)), Some(Ok(Sent::Full)));
            assert_eq!(client.frame().1.len(), message.len());
        } else {
            let message = frame(TEXT, b"parts");
            fixture.deliver(&mut client, &message[..8]);
            client.send(&message[8..]);
            assert_eq!(client.frame(), (TEXT, b"parts".to_vec()));
        }
        assert_eq!(client.frame(), (PING, Vec::new()), "{way}: asked again, not cut");
    }
}

#[test]
fn pings_keep_a_websocket_from_being_idle_where_they_come_first() {
    let fixture = Fixture::with(|config| config.ping_interval_millis = 250);
    let (mut pinged, mut idle) = (fixture.open_websocket("/ws/600"), fixture.open_websocket("/ws/50"));
    for _ in 0..4 {
        assert_eq!(pinged.frame(), (PING, Vec::new()));
        pinged.send_frame(PONG, b"");
    }
    assert_eq!(idle.frame(), (CLOSE, close(1001, "Idle Timeout")));
    assert_eq!(end(&fixture).kind, SocketEndKind::Idle);
    pinged.wait_for_end();
    fixture.app.wait("the end of the one that answers no more", |log| log.ends.len() == 2);
}

#[test]
fn a_callback_that_panics_costs_its_connection_only() {
    let fixture = Fixture::new();
    let (mut client, mut other) = (fixture.open_websocket("/ws"), fixture.open_websocket("/ws"));
    client.send_frame(TEXT, b"panic");
    client.wait_for_end();
    assert_eq!(end(&fixture).kind, SocketEndKind::Server);
    other.send_frame(TEXT, b"other");
    assert_eq!(other.frame(), (TEXT, b"other".to_vec()));
}
