//! What valid frames become: whole messages in order, with little memory and no copy where none is needed.

use httpkit_engine::websocket::Opcode::{Binary, Continuation, Ping, Pong, Text};
use httpkit_engine::websocket::WebSocket;

use crate::driver::{MAX_MESSAGE, Player, Seen, play_bytes, play_split, play_whole};
use crate::frames::{close, frame, part, raw};

fn text(text: &str) -> Seen {
    Seen::Text(text.as_bytes().to_vec())
}

fn delivers(input: &[u8], expected: &[Seen]) {
    assert_eq!(play_whole(input, MAX_MESSAGE).events, expected);
    assert_eq!(play_bytes(input, MAX_MESSAGE).events, expected);
    for at in 0..input.len().min(1000) {
        assert_eq!(play_split(input, at, MAX_MESSAGE).events, expected, "cut at {at}");
    }
}

/// RFC 6455 section 5.7, as a client sends them.
#[test]
fn examples_of_the_rfc() {
    delivers(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], &[text("Hello")]);
    delivers(&[0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], &[Seen::Pong(b"Hello".to_vec())]);
    delivers(&[part(Text, "Hel"), frame(Continuation, "lo")].concat(), &[text("Hello")]);
    delivers(&frame(Binary, [7; 256]), &[Seen::Binary(vec![7; 256])]);
    delivers(&frame(Binary, vec![7; 65536]), &[Seen::Binary(vec![7; 65536])]);
}

#[test]
fn every_form_of_length() {
    for length in [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537] {
        let payload: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        delivers(&[frame(Binary, &payload), frame(Ping, "p")].concat(), &[Seen::Binary(payload), Seen::Ping(b"p".to_vec())]);
    }
}

#[test]
fn empty_messages_are_messages() {
    delivers(&frame(Text, ""), &[text("")]);
    delivers(&frame(Binary, ""), &[Seen::Binary(Vec::new())]);
    delivers(&[part(Text, ""), part(Continuation, ""), frame(Continuation, "")].concat(), &[text("")]);
    delivers(&[part(Binary, "a"), frame(Continuation, "")].concat(), &[Seen::Binary(b"a".to_vec())]);
}

#[test]
fn control_frames_between_fragments_keep_their_place() {
    let input = [
        part(Text, "a"),
        frame(Ping, "1"),
        part(Continuation, ""),
        frame(Pong, "2"),
        frame(Ping, [9; 125]),
        frame(Continuation, "b"),
        frame(Text, "c"),
    ];
    let pings = [Seen::Ping(b"1".to_vec()), Seen::Pong(b"2".to_vec()), Seen::Ping(vec![9; 125])];
    delivers(&input.concat(), &[&pings[..], &[text("ab"), text("c")]].concat());
    let input = [part(Text, "a"), close(1000, "")].concat();
    let events = play_whole(&input, MAX_MESSAGE).events;
    assert!(matches!(events.as_slice(), [Seen::Closed(closed)] if closed.violation.is_none()));
}

#[test]
fn characters_may_be_split_anywhere() {
    let whole = "κόσμε €😀";
    let fragments: Vec<Vec<u8>> = whole.bytes().map(|byte| part(Continuation, [byte])).collect();
    delivers(&[part(Text, ""), fragments.concat(), frame(Continuation, "")].concat(), &[text(whole)]);
    delivers(&frame(Text, whole), &[text(whole)]);
}

#[test]
fn masks_of_any_value() {
    for mask in [[0; 4], [255; 4], [1, 2, 3, 4], [0, 0, 0, 128]] {
        delivers(
            &raw(0x81, Some(mask), "κόσμε, forty bytes and some more.....".as_bytes()),
            &[text("κόσμε, forty bytes and some more.....")],
        );
    }
}

#[test]
fn a_message_that_lies_whole_in_the_input_is_not_copied() {
    let input = [frame(Text, "one"), frame(Binary, [2; 5000]), frame(Ping, "three"), frame(Text, "")].concat();
    let outcome = play_whole(&input, MAX_MESSAGE);
    assert_eq!((outcome.events.len(), outcome.borrowed, outcome.most_held), (4, 4, 0));
    // Head and payload in two reads: still in one piece.
    assert_eq!(play_split(&input[..9], 6, MAX_MESSAGE).borrowed, 1);
    assert_eq!(play_split(&input[..9], 7, MAX_MESSAGE).borrowed, 0);
}

#[test]
fn memory_grows_with_the_bytes_received() {
    // A frame that declares all it may, and sends little.
    let declared = frame(Binary, vec![7; MAX_MESSAGE]);
    for sent in [0, 1, 100, 5000, 100_000] {
        let mut player = Player::new(MAX_MESSAGE);
        player.feed(&declared[..14 + sent]);
        assert!(player.socket.held() <= 2 * sent, "{} bytes held for {sent}", player.socket.held());
    }
    // Fragments of one byte.
    let mut player = Player::new(MAX_MESSAGE);
    player.feed(&part(Binary, ""));
    for received in 1..20_000 {
        player.feed(&part(Continuation, "a"));
        assert!(player.socket.held() <= 2 * received, "{} bytes held for {received}", player.socket.held());
    }
    player.feed(&frame(Continuation, ""));
    assert_eq!(player.socket.held(), 0, "nothing is kept after a message");
    // Never above the limit, nor above what the last frame says.
    let mut player = Player::new(1000);
    player.feed(&[part(Binary, [7; 600]), part(Continuation, [7; 399])].concat());
    assert!(player.socket.held() <= 1000);
    let mut player = Player::new(MAX_MESSAGE);
    player.feed(&declared[..MAX_MESSAGE - 1]);
    assert!(player.socket.held() <= MAX_MESSAGE);
}

#[test]
fn nothing_is_kept_after_control_frames_either() {
    let mut player = Player::new(MAX_MESSAGE);
    frame(Ping, [1; 125]).chunks(1).for_each(|piece| player.feed(piece));
    assert_eq!((player.outcome.events.len(), player.socket.held()), (1, 0));
    assert!(player.outcome.most_held <= 250);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<WebSocket>() <= 136, "{} bytes", size_of::<WebSocket>());
}
