//! Bodies and messages that do not come to their end: what they hold is bounded for all clients together, and they have a deadline.

use std::time::Duration;

use httpkit_engine::{SocketEnd, SocketEndKind};

use crate::support::client::{Ending, frame};
use crate::support::{Fixture, eventually, timeouts};

const MIB: usize = 1024 * 1024;
const LIMIT: usize = 4 * MIB;
const CLOSE: u8 = 0x88;

fn limited() -> Fixture {
    Fixture::with(|config| {
        config.max_received_total = LIMIT as u64;
        config.max_message = 2 * MIB as u32;
    })
}

/// A request whose body of so many bytes lacks the last.
fn unfinished_body(framing: &str, length: usize) -> Vec<u8> {
    let head = match framing {
        "chunked" => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"),
        _ => format!("Content-Length: {length}\r\n\r\n"),
    };
    [format!("POST /echo HTTP/1.1\r\nHost: x\r\n{head}").into_bytes(), vec![b'b'; length - 1]].concat()
}

#[test]
fn bodies_above_the_limit_together_are_refused() {
    for (framing, rest) in [("length", "b"), ("chunked", "b\r\n0\r\n\r\n")] {
        let fixture = limited();
        let refusals = || fixture.app.log().rejected.len();
        for round in 0..2 {
            let before = refusals();
            let mut clients = Vec::new();
            while refusals() == before {
                let mut client = fixture.connect();
                fixture.deliver(&mut client, &unfinished_body(framing, MIB));
                // Read is not yet counted.
                fixture.settle();
                clients.push(client);
                assert!(clients.len() < 20, "20 MiB are held");
            }
            assert!(clients.len() > LIMIT / MIB / 2, "only {} in round {round}", clients.len());
            let mut refused = clients.pop().unwrap();
            assert_eq!(refused.response().status, 503);
            assert_eq!(refused.ending(), Ending::Closed);
            // A small one has its place, and those that were taken go on.
            let mut small = fixture.connect();
            let body = unfinished_body(framing, 200_000);
            // In pieces after which a buffer that doubles has room for 300,000.
            for piece in [&body[..40_000], &body[40_000..90_000], &body[90_000..150_000], &body[150_000..]] {
                fixture.deliver(&mut small, piece);
            }
            small.send(rest);
            assert_eq!(small.response().body.len(), 200_000);
            for client in &mut clients {
                client.send(rest);
                assert_eq!(client.response().body.len(), MIB);
            }
        }
        assert_eq!(fixture.app.log().rejected, [503, 503]);
    }
}

#[test]
fn what_left_clients_held_is_given_back() {
    let fixture = limited();
    for _ in 0..20 {
        let mut client = fixture.connect();
        fixture.deliver(&mut client, &unfinished_body("length", MIB));
        drop(client);
        let mut client = fixture.open_websocket("/ws");
        fixture.deliver(&mut client, &frame(0x82, &vec![0; MIB])[..MIB]);
        drop(client);
        eventually("no connection", || fixture.server.gauges()[0] == 0);
    }
    assert_eq!(fixture.app.log().rejected, [0; 0]);
    assert!(fixture.app.log().ends.iter().all(|(_, end)| end.kind == SocketEndKind::Lost));
}

#[test]
fn messages_above_the_limit_together_are_refused() {
    let fixture = limited();
    let ends = || fixture.app.log().ends.len();
    let message = frame(0x82, &vec![7; MIB]);
    let fragment = frame(0x02, &vec![7; MIB]);
    let mut clients = Vec::new();
    while ends() == 0 {
        let mut client = fixture.open_websocket("/ws");
        let bytes = if clients.len() % 2 == 0 { &message[..message.len() - 1] } else { &fragment };
        fixture.deliver(&mut client, bytes);
        assert_eq!(fixture.get("/a").status, 200);
        clients.push(client);
        assert!(clients.len() < 20, "20 MiB are held");
    }
    assert!(clients.len() > LIMIT / MIB / 2, "only {}", clients.len());
    let reason = "The server has no room for the message";
    let end = SocketEnd { kind: SocketEndKind::Overload, code: 1013, reason: reason.into() };
    assert_eq!(fixture.app.log().ends[0].1, end);
    let mut refused = clients.pop().unwrap();
    assert_eq!(refused.frame(), (CLOSE, [&1013u16.to_be_bytes(), reason.as_bytes()].concat()));
    for (number, client) in clients.iter_mut().enumerate() {
        if number % 2 == 0 {
            client.send(&message[message.len() - 1..]);
        } else {
            client.send(frame(0x80, b""));
        }
        assert_eq!(client.frame(), (0x82, vec![7; MIB]));
    }
    // Masked and complete: what was refused is gone.
    refused.send(frame(CLOSE, &1013u16.to_be_bytes()));
    assert_eq!(ends(), 1);
}

#[test]
fn a_message_that_does_not_go_on_is_refused() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 300, 0, 0));
    let reason = "The message was not received in time";
    let whole = frame(0x81, b"half of this");
    for bytes in [&whole[..1], &whole[..whole.len() - 1], &frame(0x01, b"a fragment")] {
        let mut client = fixture.open_websocket("/ws");
        client.send(bytes);
        assert_eq!(client.frame(), (CLOSE, [&1008u16.to_be_bytes(), reason.as_bytes()].concat()));
    }
    let log = fixture.app.wait("the ends", |log| log.ends.len() == 3);
    let end = SocketEnd { kind: SocketEndKind::Idle, code: 1008, reason: reason.into() };
    assert!(log.ends.iter().all(|(_, told)| *told == end));
}

#[test]
fn a_message_that_goes_on_slowly_is_received_and_a_quiet_websocket_is_left_alone() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 2000, 0, 0));
    let (mut slow, mut quiet) = (fixture.open_websocket("/ws"), fixture.open_websocket("/ws"));
    let mut stalled = fixture.open_websocket("/ws");
    quiet.send(frame(0x81, b"before"));
    assert_eq!(quiet.frame().1, b"before");
    slow.send(frame(0x01, b"slow"));
    let silent = fixture.connect();
    silent.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // The stalled one, which begins after the first piece, shows that the time was longer than the deadline.
    for piece in 0..8 {
        if piece == 1 {
            stalled.send(frame(0x01, b"stalled"));
        }
        slow.send(frame(0x00, b"er"));
        assert!(silent.stream.peek(&mut [0; 1]).is_err());
    }
    assert_eq!(stalled.frame().0, CLOSE);
    slow.send(frame(0x80, b"!"));
    assert_eq!(slow.frame().1, format!("slow{}!", "er".repeat(8)).into_bytes());
    quiet.send(frame(0x81, b"after"));
    assert_eq!(quiet.frame().1, b"after");
}
