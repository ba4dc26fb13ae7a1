//! The close handshake: each side one Close frame, and nothing delivered after the first.

use httpkit_engine::websocket::Opcode::{Binary, Close, Continuation, Ping, Text};
use httpkit_engine::websocket::{CloseCode, Closed, InvalidClose, MAX_REASON, State, WebSocket};

use crate::driver::{MAX_MESSAGE, Player, Seen};
use crate::frames::{close, frame, part, raw, server_close};

fn closed(player: &Player) -> &Closed {
    let [.., Seen::Closed(closed)] = player.outcome.events.as_slice() else { panic!("{:?}", player.outcome.events) };
    closed
}

#[test]
fn the_client_closes() {
    let long = "x".repeat(MAX_REASON);
    for (input, code, reason, reply) in [
        (close(1000, ""), 1000, "", server_close(1000, "")),
        (close(1001, "left"), 1001, "left", server_close(1001, "left")),
        (close(4999, "grüß"), 4999, "grüß", server_close(4999, "grüß")),
        (close(3000, &long), 3000, long.as_str(), server_close(3000, &long)),
        (frame(Close, ""), 1005, "", raw(0x88, None, b"")),
    ] {
        for size in [1, 3, input.len()] {
            let mut player = Player::new(MAX_MESSAGE);
            input.chunks(size).for_each(|piece| player.feed(piece));
            let expected =
                Closed { code: CloseCode(code), reason: reason.to_owned(), violation: None, reply: Some(reply.clone()) };
            assert_eq!(player.outcome.events, [Seen::Closed(expected)]);
            player.feed(&[frame(Text, "after"), close(1000, "again"), frame(Ping, ""), vec![0xff; 20]].concat());
            assert_eq!(player.outcome.events.len(), 1, "what follows the Close frame is ignored");
            assert_eq!(player.socket.close(1000, ""), Ok(None), "one Close frame from each side");
            assert_eq!(player.socket.state(), State::Closed);
        }
    }
}

#[test]
fn what_follows_in_the_same_read_is_ignored() {
    let mut player = Player::new(MAX_MESSAGE);
    player.feed(&[frame(Text, "before"), close(1000, ""), frame(Text, "after"), close(1001, "")].concat());
    assert_eq!(player.outcome.events.len(), 2);
    assert_eq!(closed(&player).code, CloseCode::NORMAL);
}

#[test]
fn the_server_closes_and_waits_for_the_reply() {
    let mut player = Player::new(MAX_MESSAGE);
    player.feed(&frame(Text, "before"));
    assert_eq!(player.socket.close(1001, "stop"), Ok(Some(server_close(1001, "stop"))));
    assert_eq!(player.socket.state(), State::Closing);
    assert_eq!(player.socket.close(1000, ""), Ok(None));
    player.feed(&[frame(Text, "crossed"), frame(Ping, "p"), part(Binary, "x"), frame(Continuation, "y")].concat());
    assert_eq!((player.outcome.events.len(), player.socket.state()), (1, State::Closing), "nothing is delivered");
    player.feed(&close(1001, "stop"));
    let expected = Closed { code: CloseCode(1001), reason: "stop".into(), violation: None, reply: None };
    assert_eq!(closed(&player), &expected, "and nothing is sent again");
    assert_eq!(player.socket.state(), State::Closed);
}

#[test]
fn the_server_closes_within_a_message() {
    let message = [part(Text, "12345"), part(Continuation, vec![b'a'; 300]), frame(Continuation, "κόσμε")].concat();
    for at in 0..=message.len() {
        let mut player = Player::new(1000);
        player.feed(&message[..at]);
        let before = player.outcome.events.len();
        player.socket.close(1000, "").unwrap();
        assert_eq!(player.socket.held(), 0, "what is not delivered is not kept");
        player.feed(&message[at..]);
        // Neither the limit nor the text matters any more.
        player.feed(&[frame(Binary, vec![7; 5000]), frame(Text, b"\xff")].concat());
        player.feed(&close(1000, ""));
        assert_eq!(player.outcome.events.len(), before + 1, "closed at {at}");
        assert_eq!((closed(&player).violation, &closed(&player).reply), (None, &None));
    }
}

#[test]
fn a_violation_after_our_close_ends_the_wait() {
    let mut player = Player::new(MAX_MESSAGE);
    player.socket.close(1000, "").unwrap();
    player.feed(&raw(0x81, None, b"unmasked"));
    assert_eq!((closed(&player).code, &closed(&player).reply), (CloseCode::PROTOCOL_ERROR, &None));
    assert_eq!(player.socket.state(), State::Closed);
}

#[test]
fn codes_and_reasons_of_the_server() {
    for code in -1..=70_000 {
        let mut socket = WebSocket::new(MAX_MESSAGE as u32);
        let valid = (1000..5000).contains(&code) && ![1004, 1005, 1006, 1015].contains(&code);
        if valid {
            assert_eq!(socket.close(code, "r"), Ok(Some(server_close(code as u16, "r"))));
        } else {
            assert_eq!(socket.close(code, "r"), Err(InvalidClose::Code(code)));
            assert_eq!(socket.state(), State::Open, "a refused close leaves the connection open");
        }
    }
    let mut socket = WebSocket::new(MAX_MESSAGE as u32);
    assert_eq!(socket.close(1000, &"x".repeat(124)), Err(InvalidClose::Reason));
    assert_eq!(socket.close(1000, &"é".repeat(62)), Err(InvalidClose::Reason));
    assert_eq!(socket.state(), State::Open);
    assert!(socket.close(1000, &"x".repeat(123)).unwrap().is_some());
    assert_eq!(InvalidClose::Code(1005).to_string(), "Invalid websocket close status: 1005");
    assert_eq!(InvalidClose::Reason.to_string(), "Websocket close reason exceeds 123 bytes");
}
