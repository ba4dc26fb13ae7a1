//! HTTP/1.1 conformance of the protocol core, without I/O: a table for each of H1 to H16 in docs/RELIABILITY.md. Each input is
//! played whole, one byte at a time and cut in two at every place; the verdict must be the same (H17).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod driver;
mod framing;
mod heads;
mod messages;
mod naive;
mod properties;
mod responses;

use std::collections::BTreeMap;

use cases::{Case, chunked, with_line, with_request_line};
use driver::{End, LIMITS, play, play_bytes, play_streamed, play_whole};
use httpkit_engine::http1::Limits;

fn all() -> Vec<Case> {
    let mut all = framing::cases();
    all.extend(heads::cases());
    all.extend(messages::cases());
    all
}

#[test]
fn the_tables_hold_104_cases() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in all() {
        *counts.entry(case.row).or_default() += 1;
    }
    let expected = [
        ("H1", 4),
        ("H2", 3),
        ("H3", 7),
        ("H4", 10),
        ("H5", 14),
        ("H6", 3),
        ("H7", 3),
        ("H8", 4),
        ("H9", 12),
        ("H10", 13),
        ("H11", 1),
        ("H12", 6),
        ("H13", 5),
        ("H14", 2),
        ("H15", 11),
        ("H16", 6),
    ];
    assert_eq!(counts, expected.into_iter().collect());
    assert_eq!(counts.values().sum::<usize>(), 104);
}

fn check(rows: &[&str]) {
    let chosen = all().into_iter().filter(|case| rows.contains(&case.row));
    chosen.for_each(|case| case.check());
}

#[test]
fn h1_h2_h3_lengths_that_could_be_read_in_two_ways() {
    check(&["H1", "H2", "H3"]);
}

#[test]
fn h4_transfer_codings() {
    check(&["H4"]);
}

#[test]
fn h5_h6_chunks() {
    check(&["H5", "H6"]);
}

#[test]
fn h5_every_line_of_a_chunked_body_ends_in_cr_lf() {
    let lines = ["5", "hello", "0", ""];
    assert_eq!(play_whole(&chunked(lines.map(|line| format!("{line}\r\n")).concat()), &LIMITS).requests.len(), 1);
    for end in ["\n", "\r", "\n\n", "\r\r", "\n\r", "x\n", "\rx", " \r\n", "\r\n\r\n"] {
        for place in 0..3 {
            let body = (0..).zip(lines).map(|(number, line)| format!("{line}{}", if number == place { end } else { "\r\n" }));
            let input = chunked(body.collect::<String>());
            // An empty line after "0" ends the body, which is then complete.
            if (place, end) != (2, "\r\n\r\n") {
                cases::rejected("H5", 400, "line end in a chunked body", input).check();
            }
        }
    }
    for end in ["\n", "\rx", "x\n", "\r\r"] {
        cases::rejected("H5", 400, "end of a chunked body", chunked(format!("5\r\nhello\r\n0\r\n{end}"))).check();
    }
}

#[test]
fn h7_trailers() {
    check(&["H7"]);
}

#[test]
fn h8_h9_line_ends_and_fields() {
    check(&["H8", "H9"]);
}

#[test]
fn h10_h11_request_lines() {
    check(&["H10", "H11"]);
    heads::before_the_request_line().iter().for_each(Case::check);
}

#[test]
fn h12_hosts() {
    check(&["H12"]);
}

#[test]
fn h13_limits() {
    check(&["H13"]);
}

#[test]
fn h14_h15_h16_methods_prefixes_features() {
    check(&["H14", "H15", "H16"]);
}

#[test]
fn h7_a_trailer_never_becomes_a_header() {
    let input = chunked("5\r\nhello\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nX-Checksum: 12\r\n\r\n");
    for outcome in [play_whole(&input, &LIMITS), play_bytes(&input, &LIMITS)] {
        let names: Vec<&str> = outcome.requests[0].headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["host", "transfer-encoding"]);
        assert_eq!(outcome.requests[0].body, b"hello");
    }
}

#[test]
fn h7_fields_that_frame_route_or_authenticate_are_no_trailers() {
    for name in ["Host", "TRANSFER-ENCODING", "Connection", "Trailer", "Upgrade", "TE", "Cookie", "Proxy-Authorization"] {
        cases::rejected("H7", 400, "forbidden trailer", chunked(format!("0\r\n{name}: x\r\n\r\n"))).check();
    }
    for line in [" folded: x", "no colon", ": no name", "space : x", "nul: \0", "A: b\r"] {
        cases::rejected("H7", 400, "malformed trailer", chunked(format!("0\r\n{line}\r\n\r\n"))).check();
    }
    let many = "A: b\r\n".repeat(usize::from(LIMITS.max_headers) + 1);
    cases::rejected("H7", 431, "too many trailers", chunked(format!("0\r\n{many}\r\n"))).check();
    let long = "b".repeat(LIMITS.max_line as usize);
    cases::rejected("H7", 431, "trailer that is too long", chunked(format!("0\r\nA: {long}\r\n\r\n"))).check();
    cases::answered("H7", 1, "longer than any forbidden name", chunked("0\r\nproxy-authorization-not: x\r\n\r\n")).check();
}

#[test]
fn h9_what_is_accepted_arrives_unchanged() {
    let value = |line: &[u8]| play_whole(&with_line(line), &LIMITS).requests[0].header("a").map(<[u8]>::to_vec);
    assert_eq!(value(b"A: caf\xe9 \xc3\xa9").as_deref(), Some(b"caf\xe9 \xc3\xa9".as_slice()));
    assert_eq!(value(b"A:").as_deref(), Some(b"".as_slice()));
    assert_eq!(value(b"A:\t b\tc \t").as_deref(), Some(b"b\tc".as_slice()));
    assert_eq!(value(b"A: 1\r\nB: 2\r\na: 3").as_deref(), Some(b"1,3".as_slice()));
    let cookies = play_whole(&with_line("Cookie: a=1\r\ncookie: b=2"), &LIMITS);
    assert_eq!(cookies.requests[0].header("cookie"), Some(b"a=1;b=2".as_slice()));
}

#[test]
fn h12_host_and_port() {
    let host = |value: &str| {
        let outcome = play_whole(format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n").as_bytes(), &LIMITS);
        outcome.requests.first().map(|seen| (String::from_utf8(seen.host.clone().unwrap()).unwrap(), seen.port))
    };
    assert_eq!(host("a"), Some(("a".into(), 80)));
    assert_eq!(host("a:"), Some(("a".into(), 80)));
    assert_eq!(host("a:0"), Some(("a".into(), 0)));
    assert_eq!(host("a:65535"), Some(("a".into(), 65535)));
    assert_eq!(host("[::1]:8080"), Some(("[::1]".into(), 8080)));
    for name in ["a_b-c.d~e", "127.0.0.1", "a%20b", "!$&'()*+,;=", "[::ffff:1.2.3.4]", "[v1.a:b]", "[::1%lo]", "[fe80::1%25eth0]"]
    {
        assert_eq!(host(name), Some((name.into(), 80)));
    }
    let refused = ["", ":80", "a:65536", "a:+1", "a:1:2", "a:b", "[::1", "[::1]x", "a/b", "a\\b", "@a", "a b", "a?b", "a#b"];
    let never = [
        "a\"b",
        "<x>",
        "a{b}",
        "a|b",
        "a^b",
        "a`b",
        "a%zz",
        "a%2",
        "%",
        "\u{e9}",
        "::1",
        "[]",
        "[foo]",
        "[v1]",
        "[::1%]",
        "[%lo]",
        "[::1%a b]",
    ];
    for refused in refused.into_iter().chain(never) {
        assert_eq!(host(refused), None, "{refused:?}");
    }
}

#[test]
fn h10_targets_of_latin_1_arrive_as_they_are() {
    let line = |target: &[u8]| with_request_line([b"GET ", target, b" HTTP/1.1"].concat());
    for target in [b"/caf\xe9".as_slice(), b"/?q=\xfc\xdf", b"/\xc3\xa9\xe9", b"http://y/\xe9"] {
        for outcome in [play_whole(&line(target), &LIMITS), play_bytes(&line(target), &LIMITS)] {
            assert_eq!(outcome.requests[0].target, target);
            assert!(outcome.requests[0].host.is_some());
        }
    }
    let refused: [&[u8]; 6] = [
        b"GET  /\xe9 HTTP/1.1",
        b"GET /\xe9 /x HTTP/1.1",
        b"GET /\xe9 HTTP/2.0",
        b"GET /\xe9",
        b"GET /\xe9\x00 HTTP/1.1",
        b"/\xe9 HTTP/1.1",
    ];
    for line in refused {
        assert_eq!(play_whole(&with_request_line(line), &LIMITS).end, End::Rejected(400), "{}", line.escape_ascii());
    }
    let bad_field = [b"GET /\xe9 HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n".as_slice()].concat();
    assert_eq!(play_whole(&bad_field, &LIMITS).end, End::Rejected(400));
}

#[test]
fn h10_a_target_has_one_of_four_forms() {
    let end = |method: &str, target: &str| play_whole(&with_request_line(format!("{method} {target} HTTP/1.1")), &LIMITS).end;
    for (method, target) in [("GET", "/"), ("OPTIONS", "*"), ("GET", "http://y/"), ("CONNECT", "y:81"), ("CONNECT", "[::1]:81")] {
        assert_ne!(end(method, target), End::Rejected(400), "{method} {target}");
    }
    for target in ["*", "?x", "first", "admin/x", "@y/first", "../first", ".", ";/first", "\\first", "%2ffirst", "y:81", "*x"] {
        assert_eq!(end("GET", target), End::Rejected(400), "{target}");
        assert_eq!(end("POST", target), End::Rejected(400), "{target}");
    }
    for target in ["first", "*x", "y:81"] {
        assert_eq!(end("OPTIONS", target), End::Rejected(400), "{target}");
    }
    for target in ["/first", "*", "y", "y:", "http://y/", "@y:81", "y:81/first"] {
        assert_eq!(end("CONNECT", target), End::Rejected(400), "{target}");
    }
}

#[test]
fn h10_what_is_no_request_line_is_refused_before_its_head_is_complete() {
    for (line, status) in [
        ("GET /\r\n", 400),
        ("FOO / HTTP/1.1\r\n", 501),
        ("GET / HTTP/9.9\r\n", 400),
        ("GET foo HTTP/1.1\r\n", 400),
        ("GET http://a:b/ HTTP/1.1\r\n", 400),
        ("SSH-2.0-OpenSSH_9\r\n", 400),
        ("\r\n(GET / HTTP/1.1\r\n", 400),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let refused = End::Rejected(status);
        assert_eq!(play_bytes(line.as_bytes(), &LIMITS).end, refused, "{line:?}");
        for rest in ["", "Host: x\r\nBad Field\r\n", "\n", "a: b\n"] {
            let input = line.to_owned() + rest;
            assert_eq!(play_whole(input.as_bytes(), &LIMITS).end, refused, "{input:?}");
        }
    }
    for begun in [
        "G",
        "\r",
        "\r\n",
        "\r\nG",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
    ] {
        assert_eq!(play_bytes(begun.as_bytes(), &LIMITS).end, End::Waits, "{begun:?}");
    }
}

#[test]
fn h16_nothing_follows_a_connect() {
    let outcome = play_whole(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", &LIMITS);
    assert_eq!(outcome.requests.len(), 1);
    let output = String::from_utf8(outcome.output).unwrap().to_lowercase();
    assert!(!output.contains("content-length") && output.contains("connection: close"), "{output}");
    assert!(output.ends_with("answer 0"), "{output}");
}

#[test]
fn h12_the_host_of_an_absolute_target_wins() {
    let play = |target: &str| play_whole(&with_request_line(format!("GET {target} HTTP/1.1")), &LIMITS);
    let expected = [
        ("http://y:81/first?q", "y", 81, "y:81"),
        ("http://y", "y", 80, "y"),
        ("HTTPS://[::1]?q", "[::1]", 80, "[::1]"),
        ("web+x-1.0://y/", "y", 80, "y"),
        // None of these names a host (RFC 9112 section 3.2).
        ("/http://y/", "x", 80, "x"),
        ("/?http://y/", "x", 80, "x"),
    ];
    for (target, name, port, field) in expected {
        let outcome = play(target);
        let seen = &outcome.requests[0];
        assert_eq!((seen.host.as_deref(), seen.port), (Some(name.as_bytes()), port), "{target}");
        assert_eq!(seen.header("host"), Some(field.as_bytes()), "{target}");
        assert_eq!(seen.target, target.as_bytes());
    }
    let bad_authority = ["http://", "http:///first", "http://u@y/", "http://y:x/", "http://y:65536/", "http://[::1/"];
    // RFC 3986 section 3.1: not every reader sees a host in these, and those that do not the same.
    let bad_scheme = ["1http://y/", "ht_tp://y/", "://y/", "http:/y/", "http:y", "y:81"];
    for refused in bad_authority.into_iter().chain(bad_scheme) {
        assert_eq!(play(refused).end, End::Rejected(400), "{refused}");
    }
}

#[test]
fn h13_limits_admit_exactly_what_they_say() {
    let line = |length: usize| with_request_line(format!("GET /{} HTTP/1.1", "a".repeat(length - 16)));
    cases::answered("H13", 1, "request line of the limit", line(8192)).check();
    cases::rejected("H13", 414, "request line of one more", line(8193)).check();
    let field = |length: usize| with_line(format!("A: {}", "b".repeat(length - 5)));
    cases::answered("H13", 1, "field of the limit", field(8192)).check();
    cases::rejected("H13", 431, "field of one more", field(8193)).check();
    // Host is one of the fields.
    let fields = |count: usize| with_line("A: b\r\n".repeat(count - 1).trim_end());
    cases::answered("H13", 1, "fields of the limit", fields(100)).check();
    cases::rejected("H13", 431, "one field more", fields(101)).check();
    let head = |length: usize| {
        let mut input = b"GET /first HTTP/1.1\r\nHost: x\r\n".to_vec();
        while input.len() + 2 < length {
            let line = (length - input.len() - 2).min(8000);
            let line = if (1..8).contains(&(length - input.len() - 2 - line)) { line - 8 } else { line };
            input.extend_from_slice(format!("A: {}\r\n", "b".repeat(line - 5)).as_bytes());
        }
        input.extend_from_slice(b"\r\n");
        assert_eq!(input.len(), length);
        input
    };
    cases::answered("H13", 1, "head of the limit", head(65536)).check();
    cases::rejected("H13", 431, "head of one more", head(65537)).check();
    cases::rejected("H13", 431, "head of two more", head(65538)).check();
    // The last line has not ended: the refusal does not wait for that.
    let open = |length: usize| [&head(65000)[..64998], b"A: ", &vec![b'b'; length - 65001]].concat();
    cases::waits("H13", "open line up to the limit of the head", open(65536)).check();
    cases::rejected("H13", 431, "open line beyond the limit of the head", open(65537)).check();
    let body = |length: usize| chunked(format!("{length:x}\r\n"));
    cases::waits("H13", "chunk of the limit", body(8 * 1024 * 1024)).check();
    cases::rejected("H13", 413, "chunk of one more", body(8 * 1024 * 1024 + 1)).check();
}

#[test]
fn h13_chunks_are_limited_together() {
    let input = chunked("5\r\nhello\r\n".repeat(5) + "0\r\n\r\n");
    for (max_body, end) in [(24, End::Rejected(413)), (25, End::Waits)] {
        let limits = Limits { max_body, ..LIMITS };
        for outcome in [play_bytes(&input, &limits), play_streamed(input.chunks(1), &limits)] {
            assert_eq!(outcome.end, end, "{max_body}");
        }
    }
}

#[test]
fn h13_little_is_held_before_a_refusal() {
    for case in all().into_iter().filter(|case| matches!(case.row, "H6" | "H13")) {
        let outcome = play(case.input.chunks(1000), &LIMITS);
        assert!(outcome.most_held <= 64 * 1024 + 1000, "{}: {} bytes held", case.name, outcome.most_held);
        assert!(outcome.fed <= 64 * 1024 + 1000, "{}: refused after {} bytes", case.name, outcome.fed);
    }
}

#[test]
fn h16_answers_are_ordered_and_framed() {
    let case = all().into_iter().find(|case| case.name == "pipelining").unwrap();
    let outcome = play_whole(&case.input, &LIMITS);
    let targets: Vec<&[u8]> = outcome.requests.iter().map(|seen| seen.target.as_slice()).collect();
    assert_eq!(targets, [b"/one".as_slice(), b"/two", b"/three"]);
    assert_eq!(outcome.requests[2].body, b"abcde");
    let output = String::from_utf8(outcome.output).unwrap();
    let places: Vec<usize> = (0..3).map(|number| output.find(&format!("answer {number}")).unwrap()).collect();
    assert!(places.is_sorted());
    let head = play_whole(&with_request_line("HEAD /first HTTP/1.1"), &LIMITS);
    assert!(head.output.ends_with(b"\r\n\r\n"), "no body on HEAD");
    assert!(String::from_utf8(head.output).unwrap().contains("content-length: 8\r\n"));
}

#[test]
fn h16_continue_is_sent_once_and_only_to_one_who_waits() {
    let head = "POST /first HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let interim = |pieces: &[&str]| play(pieces.iter().map(|piece| piece.as_bytes()), &LIMITS).interim;
    assert_eq!(interim(&[head, "hello"]), [0]);
    assert_eq!(interim(&[head, "he", "llo"]), [0]);
    assert_eq!(interim(&[&format!("{head}he"), "llo"]), [0; 0], "the client has begun to send");
    assert_eq!(interim(&[&format!("{head}hello")]), [0; 0]);
    assert_eq!(interim(&[&head.replace("Length: 5", "Length: 0")]), [0; 0], "nothing to wait for");
    assert_eq!(interim(&[&head.replace("/1.1", "/1.0"), "hello"]), [0; 0], "HTTP/1.0 knows no interim response");
    assert_eq!(interim(&[&head.replace("Content-Length: 5", "Transfer-Encoding: chunked"), "0\r\n\r\n"]), [0]);
    let mut pieces: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
    pieces.push(b"hello");
    assert_eq!(play(pieces.iter().copied(), &LIMITS).interim, [0], "after the last byte of the head, not before");
    let too_large = play_whole(head.replace("Length: 5", "Length: 9437184").as_bytes(), &LIMITS);
    assert_eq!((too_large.end, too_large.interim.len()), (End::Rejected(413), 0), "no invitation to send what is refused");
}
