//! What holds for every input, not only for those somebody thought of.

use httpkit_engine::http1::{Framed, Http1, Limits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases::{Case, chunked};
use crate::driver::{LIMITS, STYLE, head, play, play_bytes, play_streamed, play_whole};
use crate::{all, naive, responses};

/// Limits that short inputs reach.
const TIGHT: Limits = Limits { max_body: 24, stream_above: u64::MAX, max_line: 40, max_head: 120, max_headers: 5 };

/// Pieces from which valid, nearly valid and absurd requests come together.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "HEAD /a?b HTTP/1.1\r\n",
    "POST /long/enough/to/matter HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "FROB / HTTP/1.1\r\n",
    "Host: x\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "A: b\r\n",
    "A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
    "\r\n",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nA: b\r\n\r\n",
    "\r",
    "\n",
    " ",
    "\0",
    "ffffffffffffffff\r\n",
];

fn assembled() -> impl Strategy<Value = Vec<u8>> {
    vec(select(PIECES), 1..16).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Two requests in sequence out of the tables, with some bytes replaced, removed or inserted.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let short: Vec<Vec<u8>> = all().into_iter().map(|case: Case| case.input).filter(|input| input.len() < 1000).collect();
    let byte = prop_oneof![any::<u8>(), select(b"\r\n \t:;0aZ,\0".as_slice())];
    let edits = vec((any::<Index>(), 0..3_u8, byte), 0..4);
    (vec(select(short), 1..3), edits).prop_map(|(inputs, edits)| {
        let mut input = inputs.concat();
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

fn same_however_cut(input: &[u8], cuts: &[Index], limits: &Limits) -> Result<(), TestCaseError> {
    let whole = play_whole(input, limits);
    let cut = play(pieces(input, cuts), limits);
    prop_assert_eq!(whole.verdict(), cut.verdict());
    let bytes = play_bytes(input, limits);
    prop_assert_eq!(whole.verdict(), bytes.verdict());
    let streamed = play_streamed(pieces(input, cuts), limits);
    prop_assert_eq!(whole.verdict(), streamed.verdict());
    let streamed = play_streamed(input.chunks(1), limits);
    prop_assert_eq!(whole.verdict(), streamed.verdict());
    let naive = naive::read(input, whole.requests.len());
    prop_assert_eq!(naive.len(), whole.requests.len(), "messages another reader finds");
    for (message, seen) in naive.iter().zip(&whole.requests) {
        prop_assert_eq!(&message.body, &seen.body);
        prop_assert_eq!(message.end, seen.end);
    }
    Ok(())
}

fn no_line_is_split(output: &[u8], headers: usize) -> Result<(), TestCaseError> {
    let text: String = output.iter().map(|&byte| char::from(byte)).collect();
    prop_assert!(text.ends_with("\r\n\r\n"));
    let lines: Vec<&str> = text[..text.len() - 4].split("\r\n").collect();
    // The status line, what was given, and at most Connection, a framing field, Server and Date.
    prop_assert!(lines.len() <= 1 + headers + 4, "{} lines", lines.len());
    for (number, line) in lines.iter().enumerate() {
        prop_assert!(!line.chars().any(|byte| byte != '\t' && byte < ' ' || byte == '\x7f'), "{line:?}");
        prop_assert!(number == 0 || line.find(": ").is_some_and(|colon| colon > 0), "{line:?}");
    }
    Ok(())
}

fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..12),
        "[A-Za-z-]{1,12}".prop_map(String::into_bytes),
        select(vec!["Content-Length", "Transfer-Encoding", "Connection", "close", "Date", "Server", "a\r\nb", "\r\n\r\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cut_of_assembled_input_does_not_matter(input in assembled(), cuts in vec(any::<Index>(), 1..5)) {
        same_however_cut(&input, &cuts, &LIMITS)?;
        same_however_cut(&input, &cuts, &TIGHT)?;
    }

    #[test]
    fn the_cut_of_mutated_input_does_not_matter(input in mutated(), cuts in vec(any::<Index>(), 1..5)) {
        same_however_cut(&input, &cuts, &LIMITS)?;
        same_however_cut(&input, &cuts, &TIGHT)?;
    }

    #[test]
    fn chunks_decode_to_what_was_encoded(
        chunks in vec((vec(any::<u8>(), 1..300), "(;[a-z]{0,5}(=[a-z\"]{0,5})?){0,2}", "0{0,3}", any::<bool>()), 0..8),
        trailer in "(X-[A-Z]{1,5}: [a-z]{0,9}\r\n){0,3}",
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let mut encoded = Vec::new();
        for (data, extension, zeros, upper) in &chunks {
            let size = if *upper { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            encoded.extend_from_slice(format!("{zeros}{size}{extension}\r\n").as_bytes());
            encoded.extend_from_slice(data);
            encoded.extend_from_slice(b"\r\n");
        }
        encoded.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        let input = [chunked(&encoded), b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()].concat();
        let body: Vec<u8> = chunks.iter().flat_map(|(data, ..)| data.clone()).collect();
        for outcome in [play_whole(&input, &LIMITS), play(pieces(&input, &cuts), &LIMITS), play_bytes(&input, &LIMITS)] {
            prop_assert_eq!(outcome.requests.len(), 2);
            prop_assert_eq!(&outcome.requests[0].body, &body);
            prop_assert_eq!(&outcome.requests[1].target, b"/next");
        }
    }

    #[test]
    fn streamed_pieces_decode_to_what_was_sent(sent in vec(vec(any::<u8>(), 0..40), 0..8)) {
        let mut http = responses::in_exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut output = Vec::new();
        http.start(&mut output, head(200, [], None), STYLE).unwrap();
        let mut wire = chunked("");
        for (number, piece) in sent.iter().enumerate() {
            let Framed::Sent(suffix) = http.frame_piece(piece.len(), &mut wire, number + 1 == sent.len()) else { unreachable!() };
            wire.extend_from_slice(piece);
            wire.extend_from_slice(suffix);
        }
        if sent.is_empty() {
            let Framed::Sent(suffix) = http.frame_piece(0, &mut wire, true) else { unreachable!() };
            wire.extend_from_slice(suffix);
        }
        let outcome = play_whole(&wire, &LIMITS);
        prop_assert_eq!(outcome.requests.len(), 1);
        prop_assert_eq!(&outcome.requests[0].body, &sent.concat());
    }

    #[test]
    fn no_header_splits_a_response(
        headers in vec((header_bytes(), header_bytes()), 0..5),
        status in any::<u16>(),
        stream in any::<bool>(),
        http10 in any::<bool>(),
    ) {
        let request = if http10 { "GET / HTTP/1.0\r\n\r\n" } else { "GET / HTTP/1.1\r\nHost: x\r\n\r\n" };
        let mut http: Http1 = responses::in_exchange(request);
        let mut output = Vec::new();
        let fields = headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let valid = if stream {
            http.start(&mut output, head(status, fields, None), STYLE).is_ok()
        } else {
            http.answer(&mut output, head(status, fields, None), 3, STYLE).is_ok()
        };
        if valid {
            prop_assert!((100..1000).contains(&status));
            no_line_is_split(&output, headers.len())?;
        } else {
            prop_assert!(output.is_empty());
        }
    }
}
