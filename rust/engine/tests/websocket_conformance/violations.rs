//! What a client may not do, bad text and bad close codes among it (docs/RELIABILITY.md, W2 and W3): the close code and the words
//! for each.

use httpkit_engine::websocket::Opcode::{Binary, Close, Continuation, Ping, Pong, Text};

use crate::driver::{MAX_MESSAGE, Outcome, Seen, play, play_bytes, play_split, play_whole};
use crate::frames::{MASK, close, frame, part, raw, server_close};

/// Plays the input in every way, and expects `before` messages, then the violation's close, and nothing of what follows it.
fn is_violation(input: &[u8], before: usize, code: u16, text: &str) {
    let with_more = [input, &frame(Text, "after"), &close(1000, "")].concat();
    let judge = |outcome: &Outcome, how: &str| {
        assert_eq!(outcome.events.len(), before + 1, "{text} ({how}): {:?}", outcome.events);
        let Seen::Closed(closed) = &outcome.events[before] else { panic!("{text} ({how}): {:?}", outcome.events) };
        assert_eq!((closed.code.0, closed.reason.as_str()), (code, text), "{how}");
        assert!(closed.violation.is_some(), "{how}");
        assert_eq!(closed.reply.as_deref(), Some(server_close(code, "").as_slice()), "{text} ({how})");
    };
    judge(&play_whole(input, MAX_MESSAGE), "whole");
    judge(&play_whole(&with_more, MAX_MESSAGE), "followed by more");
    judge(&play_bytes(&with_more, MAX_MESSAGE), "one byte a read");
    for at in 0..with_more.len().min(2000) {
        judge(&play_split(&with_more, at, MAX_MESSAGE), "in two");
    }
}

#[test]
fn unmasked_frames() {
    is_violation(&raw(0x81, None, b"Hello"), 0, 1002, "unmasked client to server frame");
    is_violation(&raw(0x89, None, b""), 0, 1002, "unmasked client to server frame");
    is_violation(&[frame(Text, "a"), raw(0x88, None, b"")].concat(), 1, 1002, "unmasked client to server frame");
}

#[test]
fn reserved_bits() {
    for bit in [0x40, 0x20, 0x10, 0x70] {
        for first in [0x81, 0x82, 0x01, 0x88, 0x89, 0x8a, 0x80] {
            is_violation(&raw(first | bit, Some(MASK), b"a"), 0, 1002, "unsupported websocket extension data");
        }
    }
}

#[test]
fn unknown_opcodes() {
    for opcode in (3..=7).chain(11..=15) {
        let text = format!("unsupported websocket opcode: {opcode}");
        is_violation(&raw(0x80 | opcode, Some(MASK), b""), 0, 1002, &text);
        is_violation(&[part(Text, "a"), raw(opcode, Some(MASK), b"")].concat(), 0, 1002, &text);
    }
}

#[test]
fn control_frames() {
    for opcode in [Close, Ping, Pong] {
        is_violation(&part(opcode, ""), 0, 1002, "fragmented websocket control frame");
        is_violation(&frame(opcode, [7; 126]), 0, 1002, "websocket control frame payload is too large");
        is_violation(&frame(opcode, vec![7; 70_000]), 0, 1002, "websocket control frame payload is too large");
    }
}

#[test]
fn fragments() {
    let nothing = "unexpected websocket continuation frame";
    is_violation(&frame(Continuation, "a"), 0, 1002, nothing);
    is_violation(&part(Continuation, ""), 0, 1002, nothing);
    is_violation(&[frame(Text, "a"), frame(Continuation, "b")].concat(), 1, 1002, nothing);
    is_violation(&[part(Text, "a"), frame(Continuation, "b"), frame(Continuation, "c")].concat(), 1, 1002, nothing);
    let open = "new data frame while fragmented message is open";
    for second in [frame(Text, "b"), part(Text, ""), frame(Binary, "b"), part(Binary, "")] {
        is_violation(&[part(Text, "a"), second.clone()].concat(), 0, 1002, open);
        is_violation(&[part(Binary, ""), frame(Ping, "p"), part(Continuation, "a"), second].concat(), 1, 1002, open);
    }
}

#[test]
fn lengths_that_are_not_minimal() {
    let with_length = |first: u8, length: &[u8]| [&[first, 0x80 | if length.len() == 2 { 126 } else { 127 }], length].concat();
    for length in [0, 1, 125_u16] {
        let input = with_length(0x82, &length.to_be_bytes());
        is_violation(&input, 0, 1002, "invalid data frame length (not using minimal length encoding)");
    }
    for length in [0, 125, 65535, 1 << 63, u64::MAX] {
        let text = "invalid data frame length. most significant bit is not zero or length fits in unsigned short.";
        is_violation(&with_length(0x81, &length.to_be_bytes()), 0, 1002, text);
    }
}

#[test]
fn close_frames() {
    is_violation(&frame(Close, [3]), 0, 1002, "Invalid one-byte websocket close payload");
    is_violation(&close(1000, b"\xff"), 0, 1007, "Invalid UTF-8 websocket payload");
    is_violation(&close(1000, b"cut \xe2\x82"), 0, 1007, "Invalid UTF-8 websocket payload");
    is_violation(&[part(Text, "a"), frame(Close, [3])].concat(), 0, 1002, "Invalid one-byte websocket close payload");
}

#[test]
fn w3_every_close_code() {
    for code in 0..=u16::MAX {
        let events = play_whole(&close(code, "why"), MAX_MESSAGE).events;
        let [Seen::Closed(closed)] = events.as_slice() else { panic!("{events:?}") };
        let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        if valid {
            assert_eq!((closed.code.0, closed.reason.as_str(), closed.violation), (code, "why", None));
            assert_eq!(closed.reply.as_deref(), Some(server_close(code, "why").as_slice()));
        } else {
            assert_eq!((closed.code.0, closed.reason.clone()), (1002, format!("Invalid websocket close status: {code}")));
            assert_eq!(closed.reply.as_deref(), Some(server_close(1002, "").as_slice()));
        }
    }
}

#[test]
fn text_that_is_not_utf8() {
    let text = "Invalid UTF-8 websocket payload";
    for bytes in [b"\xff".as_slice(), b"a\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82", b"\xf0\x9f\x98"] {
        is_violation(&frame(Text, bytes), 0, 1007, text);
        is_violation(&[part(Text, "a"), frame(Ping, ""), frame(Continuation, bytes)].concat(), 1, 1007, text);
        // Cut short: what follows completes no character.
        is_violation(&[part(Text, bytes), frame(Continuation, "x")].concat(), 0, 1007, text);
    }
}

/// Autobahn 6.4: the frame that holds the bad byte is refused, not the message.
#[test]
fn w2_bad_text_is_refused_before_the_message_ends() {
    let good = "κόσμε".as_bytes();
    let first = part(Text, [good, b"\xf4\x90"].concat());
    let outcome = play([first.as_slice(), &frame(Continuation, b"\x80\x80edited")], MAX_MESSAGE);
    assert_eq!(outcome.fed, [first.len()], "6.4.1");
    let pieces = [part(Text, good), part(Continuation, b"\xf4"), part(Continuation, b"\x90"), frame(Continuation, "")];
    let outcome = play(pieces.iter().map(Vec::as_slice), MAX_MESSAGE);
    assert_eq!(outcome.fed, [pieces[..3].concat().len()], "6.4.2");
    // One frame, sent in pieces: within the frame, at the very byte.
    let input = frame(Text, [good, b"\xf4\x90\x80\x80edited"].concat());
    assert_eq!(play_bytes(&input, MAX_MESSAGE).fed, [6 + good.len() + 2], "6.4.3");
}

#[test]
fn messages_above_the_limit() {
    let refused = |input: &[u8], max: usize, got: usize, fed: usize| {
        for outcome in [play_whole(input, max), play_bytes(input, max)] {
            let Some(Seen::Closed(closed)) = outcome.events.last() else { panic!("{:?}", outcome.events) };
            assert_eq!((closed.code.0, closed.reason.clone()), (1009, format!("Max payload length {max}, got: {got}")));
            assert_eq!(closed.reply.as_deref(), Some(server_close(1009, "").as_slice()));
            assert_eq!(outcome.most_held, 0, "nothing is held of what is refused");
        }
        // Before a byte of payload, even before the mask.
        assert_eq!(play_bytes(input, max).fed.last(), Some(&fed));
    };
    refused(&frame(Text, "hello"), 4, 5, 2);
    refused(&frame(Binary, [7; 200]), 4, 200, 4);
    refused(&frame(Binary, vec![7; 70_000]), 4, 70_000, 10);
    let huge = [&[0x82, 0xff], (i64::MAX as u64).to_be_bytes().as_slice()].concat();
    refused(&huge, MAX_MESSAGE, i64::MAX as usize, 10);
    let parts = [part(Binary, ""), frame(Ping, "p"), frame(Continuation, "abcde")].concat();
    refused(&parts, 4, 5, parts.len() - 9);
    let parts = [part(Text, "ab"), part(Continuation, "cd"), frame(Continuation, "e")].concat();
    let Some(Seen::Closed(closed)) = play_whole(&parts, 4).events.pop() else { panic!() };
    assert_eq!(closed.reason, "Max payload length 4, got: 5");
    let huge = [part(Binary, "a"), [&[0x80, 0xff], (i64::MAX as u64).to_be_bytes().as_slice()].concat()].concat();
    let Some(Seen::Closed(closed)) = play_whole(&huge, MAX_MESSAGE).events.pop() else { panic!() };
    assert_eq!(closed.code.0, 1009);
}

#[test]
fn the_limit_itself_is_accepted_and_control_frames_are_exempt() {
    for input in [frame(Text, "abcd"), [part(Text, "ab"), frame(Ping, "hello"), frame(Continuation, "cd")].concat()] {
        for outcome in [play_whole(&input, 4), play_bytes(&input, 4)] {
            assert_eq!(outcome.events.last(), Some(&Seen::Text(b"abcd".to_vec())));
        }
    }
    assert_eq!(play_whole(&frame(Ping, "hello"), 4).events, [Seen::Ping(b"hello".to_vec())]);
    assert_eq!(play_whole(&frame(Text, ""), 0).events, [Seen::Text(Vec::new())]);
}
