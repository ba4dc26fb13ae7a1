//! Any bytes, cut in two anywhere: the core gives the verdict it gives for the whole, and a naive second reader finds the same
//! messages in what the core accepted.
#![no_main]

#[path = "../../tests/http1_conformance/driver.rs"]
#[allow(dead_code)]
mod driver;
#[path = "../../tests/http1_conformance/naive.rs"]
mod naive;

use driver::{End, LIMITS, play_bytes, play_split, play_streamed, play_whole};
use httpkit_engine::http1::Limits;
use libfuzzer_sys::fuzz_target;

/// Limits that inputs of a few hundred bytes reach.
const TIGHT: Limits = Limits { max_body: 64, stream_above: u64::MAX, max_line: 80, max_head: 300, max_headers: 8 };

fuzz_target!(|data: &[u8]| {
    // The first byte says where to cut and which limits hold; the rest is what a client sends.
    let Some((&choice, input)) = data.split_first() else { return };
    let limits = if choice & 1 == 0 { &LIMITS } else { &TIGHT };
    let whole = play_whole(input, limits);
    let at = usize::from(choice) * 7919 % (input.len() + 1);
    assert_eq!(whole.verdict(), play_split(input, at, limits).verdict(), "cut at {at}");
    let (first, second) = input.split_at(at);
    assert_eq!(whole.verdict(), play_streamed([first, second], limits).verdict(), "cut at {at}, bodies read while they arrive");
    // Slow, and what it finds short inputs show as well.
    if input.len() < 128 {
        assert_eq!(whole.verdict(), play_bytes(input, limits).verdict(), "byte by byte");
    }
    let messages = naive::read(input, whole.requests.len());
    assert_eq!(messages.len(), whole.requests.len(), "messages another reader finds");
    for (message, seen) in messages.iter().zip(&whole.requests) {
        assert_eq!(message.body, seen.body);
        assert_eq!(message.end, seen.end);
        assert!(seen.body.len() as u64 <= limits.max_body);
    }
    if let End::Rejected(status) = whole.end {
        assert!(matches!(status, 400 | 413 | 414 | 417 | 431 | 501), "status {status}");
    }
});
