//! What holds for every input, not only for those somebody thought of.

use httpkit_engine::websocket::{CloseCode, FrameHeader, Opcode, Utf8, unmask};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::driver::{Outcome, play, play_bytes, play_whole};
use crate::frames::raw;
use crate::naive;

/// A limit that short inputs reach.
const MAX_MESSAGE: usize = 300;

/// Payloads that are text, nearly text, or close frames.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => ".{0,12}".prop_map(String::into_bytes),
        2 => select(vec![b"\xce".as_slice(), b"\xba", b"\xf0\x9f", b"\x98\x80", b"\xed\xa0", b"\xff", b"\x03\xe8", b"\x03\xe8bye"])
            .prop_map(<[u8]>::to_vec),
        2 => vec(any::<u8>(), 0..140),
        1 => (120..310_usize).prop_map(|length| vec![b'a'; length]),
    ]
}

/// A frame: mostly of the kinds that make messages, sometimes of any kind, sometimes without a mask.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let mask = prop_oneof![20 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)];
    (first, mask, payload()).prop_map(|(first, mask, payload)| raw(first, mask, &payload))
}

/// A fragmented message with control frames in between.
fn message() -> impl Strategy<Value = Vec<u8>> {
    (select(vec![1, 2]), vec((payload(), any::<bool>(), any::<[u8; 4]>()), 1..6)).prop_map(|(kind, parts)| {
        let last = parts.len() - 1;
        let mut input = Vec::new();
        for (number, (payload, ping, mask)) in parts.into_iter().enumerate() {
            let first = if number == 0 { kind } else { 0 } | if number == last { 0x80 } else { 0 };
            input.extend_from_slice(&raw(first, Some(mask), &payload));
            if ping {
                input.extend_from_slice(&raw(0x89, Some(mask), b"ping"));
            }
        }
        input
    })
}

/// Frames in sequence, with some bytes replaced, removed or inserted.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop_oneof![3 => Just(Vec::new()), 1 => vec((any::<Index>(), 0..3_u8, any::<u8>()), 1..4)];
    (vec(prop_oneof![frame(), message()], 1..8), edits).prop_map(|(frames, edits)| {
        let mut input = frames.concat();
        for (index, kind, byte) in edits {
            let at = index.index(input.len() + 1);
            match kind {
                0 if at < input.len() => input[at] = byte,
                1 if at < input.len() => drop(input.remove(at)),
                _ => input.insert(at, byte),
            }
        }
        input
    })
}

/// Cuts an input at the given places.
fn pieces<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    places.sort_unstable();
    places.push(input.len());
    let mut start = 0;
    places.into_iter().map(|place| &input[std::mem::replace(&mut start, place)..place]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_cut_makes_no_difference(input in stream(), cuts in vec(any::<Index>(), 0..6)) {
        let expected = naive::read(&input, MAX_MESSAGE);
        let agrees = |outcome: Outcome| {
            prop_assert_eq!(&outcome.events, &expected);
            prop_assert!(outcome.most_held <= 2 * (MAX_MESSAGE + 125));
            Ok(())
        };
        agrees(play_whole(&input, MAX_MESSAGE))?;
        agrees(play_bytes(&input, MAX_MESSAGE))?;
        agrees(play(pieces(&input, &cuts), MAX_MESSAGE))?;
    }

    #[test]
    fn a_mask_comes_off_in_any_pieces(original in vec(any::<u8>(), 0..300), mask: [u8; 4], cuts in vec(any::<Index>(), 0..4)) {
        let mut bytes = original.clone();
        let mut offset = 0;
        for length in pieces(&original, &cuts).iter().map(|piece| piece.len()) {
            unmask(&mut bytes[offset..offset + length], mask, offset as u64);
            offset += length;
        }
        let expected: Vec<u8> = original.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        prop_assert_eq!(bytes, expected);
    }

    #[test]
    fn text_is_judged_as_the_whole_would_be(input in vec(payload(), 0..5), cuts in vec(any::<Index>(), 0..5)) {
        let text = input.concat();
        let mut utf8 = Utf8::default();
        let mut seen = 0;
        for piece in pieces(&text, &cuts) {
            seen += piece.len();
            let possible = std::str::from_utf8(&text[..seen]).map_or_else(|error| error.error_len().is_none(), |_| true);
            prop_assert_eq!(utf8.push(piece), possible, "after {} bytes", seen);
            if !possible {
                return Ok(());
            }
        }
        prop_assert_eq!(utf8.is_complete(), std::str::from_utf8(&text).is_ok());
    }

    #[test]
    fn heads_of_the_server_are_minimal(length in prop_oneof![0..300_usize, 65_000..66_000_usize, any::<u32>().prop_map(|length| length as usize)]) {
        let header = FrameHeader::new(Opcode::Binary, length);
        let (first, field) = header.as_bytes().split_at(2);
        prop_assert_eq!(first[0], 0x82);
        let long = field.iter().fold(0, |value, &byte| value << 8 | usize::from(byte));
        let (expected, size) = match first[1] { 126 => (long, 126), 127 => (long, 65536), short => (usize::from(short), 0) };
        prop_assert_eq!(expected, length);
        prop_assert!(length >= size && (field.len() != 2 || length < 65536));
    }

    #[test]
    fn what_may_be_received_may_be_sent(code: u16) {
        prop_assert!(CloseCode(code).may_be_sent() || !CloseCode(code).may_be_received());
    }
}
