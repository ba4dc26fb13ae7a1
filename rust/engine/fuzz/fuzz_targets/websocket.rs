//! Any bytes, cut in two anywhere: the core delivers what a naive second reader finds in the whole, and once the server has closed
//! nothing but the end.
#![no_main]

#[path = "../../tests/websocket_conformance/driver.rs"]
#[allow(dead_code)]
mod driver;
#[path = "../../tests/websocket_conformance/naive.rs"]
mod naive;

use driver::{Player, Seen, play_bytes, play_split, play_whole};
use libfuzzer_sys::fuzz_target;

/// Limits of a message in bytes: one that inputs of a few hundred bytes reach, one that they do not.
const MAX_MESSAGES: [usize; 2] = [300, 100_000];

/// The server closes between two reads.
fn server_closes(input: &[u8], at: usize, max_message: usize) {
    let (before, after) = input.split_at(at);
    let mut player = Player::new(max_message);
    player.feed(before);
    let delivered = player.outcome.events.len();
    assert!(player.socket.close(1001, "").is_ok());
    player.feed(after);
    assert!(matches!(player.outcome.events[delivered..], [] | [Seen::Closed(_)]), "delivered after the server's Close frame");
}

fuzz_target!(|data: &[u8]| {
    // The first byte says where to cut and which limit holds; the rest is what a client sends.
    let Some((&choice, input)) = data.split_first() else { return };
    let max_message = MAX_MESSAGES[usize::from(choice & 1)];
    let at = usize::from(choice) * 7919 % (input.len() + 1);
    let expected = naive::read(input, max_message);
    let whole = play_whole(input, max_message);
    assert_eq!(whole.events, expected);
    assert!(whole.most_held <= 2 * (max_message + 125), "{} bytes held", whole.most_held);
    assert_eq!(play_split(input, at, max_message).events, expected, "cut at {at}");
    // Slow, and what it finds short inputs show as well.
    if input.len() < 128 {
        assert_eq!(play_bytes(input, max_message).events, expected, "byte by byte");
    }
    server_closes(input, at, max_message);
});
