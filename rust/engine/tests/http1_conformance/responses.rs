//! Whatever an application puts into a response, one well-formed response leaves, framed by the server (docs/RELIABILITY.md, H19
//! and H20).

use httpkit_engine::InvalidHead;
use httpkit_engine::http1::{Framed, HeaderStorage, Http1, Next, Received};

use crate::driver::{LIMITS, STYLE, head};

type Header<'a> = (&'a [u8], &'a [u8]);

/// A core that has handed out one request.
pub(crate) fn in_exchange(request: &str) -> Http1 {
    let mut http = Http1::new();
    let mut storage = HeaderStorage::new();
    assert!(matches!(http.receive(request.as_bytes(), &mut storage, &LIMITS), Ok(Received::Request { .. })));
    http
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_10: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

/// The header lines of the one response head in `output`, the status line first; panics if it is not well-formed.
pub(crate) fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8(output.to_vec()).expect("ASCII");
    let head = text.strip_suffix("\r\n\r\n").expect("ends with an empty line");
    let lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    for line in &lines {
        assert!(!line.is_empty() && !line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    lines
}

fn field<'l>(lines: &'l [String], wanted: &str) -> Vec<&'l str> {
    let named = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
    named.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).collect()
}

fn refused() -> Vec<(&'static str, u16, Header<'static>)> {
    let value = |name, value: &'static [u8]| (name, 200, (b"A".as_slice(), value));
    let name = |name, text: &'static [u8]| (name, 200, (text, b"b".as_slice()));
    vec![
        value("CR in a value", b"b\rC: d"),
        value("LF in a value", b"b\nC: d"),
        value("CR LF in a value", b"b\r\nC: d"),
        value("a response in a value", b"b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        value("NUL in a value", b"b\0c"),
        value("control in a value", b"b\x01c"),
        value("DEL in a value", b"b\x7fc"),
        name("CR in a name", b"A\rB"),
        name("LF in a name", b"A\nB"),
        name("CR LF in a name", b"A: b\r\nC"),
        name("NUL in a name", b"A\0"),
        name("space in a name", b"A B"),
        name("colon in a name", b"A:"),
        name("empty name", b""),
        ("status 99", 99, (b"A", b"b")),
        ("status 1000", 1000, (b"A", b"b")),
    ]
}

#[test]
fn h19_nothing_an_application_sets_splits_a_response() {
    let cases = refused();
    assert_eq!(cases.len(), 16);
    for (case, status, header) in cases {
        for stream in [false, true] {
            // A header before the bad one, as in a sequence of values: what was already encoded must go as well.
            let headers = [(b"Before".as_slice(), b"1".as_slice()), header, (b"After", b"2")];
            let mut http = in_exchange(GET);
            let mut output = b"earlier".to_vec();
            let result: Result<(), InvalidHead> = if stream {
                http.start(&mut output, head(status, headers, None), STYLE)
            } else {
                http.answer(&mut output, head(status, headers, None), 0, STYLE).map(|_| ())
            };
            assert!(result.is_err(), "{case}");
            assert_eq!(output, b"earlier", "{case}: nothing may be written");
            assert!(http.is_in_exchange() && !http.is_streaming(), "{case}: the exchange is still open");
            output.clear();
            assert_eq!(http.answer(&mut output, head(500, [], None), 0, STYLE), Ok(true), "{case}");
            assert_eq!(lines(&output)[0], "HTTP/1.1 500 Internal Server Error");
            assert_eq!(http.complete(), Next::Read, "{case}: a refused head costs no connection");
        }
    }
}

#[test]
fn h20_the_length_of_a_body_is_the_servers() {
    for own in ["3", "300", "-1", "abc", "5, 5"] {
        for name in ["Content-Length", "content-length", "CONTENT-LENGTH"] {
            let mut output = Vec::new();
            let headers = [(name.as_bytes(), own.as_bytes())];
            assert_eq!(in_exchange(GET).answer(&mut output, head(200, headers, Some(3)), 5, STYLE), Ok(true));
            assert_eq!(field(&lines(&output), "content-length"), ["5"]);
        }
    }
}

#[test]
fn h20_a_coding_of_the_application_is_dropped() {
    let headers: [Header<'_>; 2] = [(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"gzip, chunked")];
    let mut output = Vec::new();
    assert_eq!(in_exchange(GET).answer(&mut output, head(200, headers, None), 5, STYLE), Ok(true));
    let sized = lines(&output);
    assert_eq!(field(&sized, "transfer-encoding"), [""; 0]);
    assert_eq!(field(&sized, "content-length"), ["5"]);
    output.clear();
    in_exchange(GET).start(&mut output, head(200, headers, None), STYLE).expect("valid");
    assert_eq!(field(&lines(&output), "transfer-encoding"), ["chunked"]);
}

#[test]
fn h20_a_stream_of_unknown_length_has_none() {
    let headers: [Header<'_>; 1] = [(b"Content-Length", b"5")];
    let mut output = Vec::new();
    in_exchange(GET).start(&mut output, head(200, headers, None), STYLE).expect("valid");
    let chunked = lines(&output);
    assert_eq!(field(&chunked, "content-length"), [""; 0]);
    assert_eq!(field(&chunked, "transfer-encoding"), ["chunked"]);
    // HTTP/1.0 knows no chunks: the close ends the body, so the connection cannot be kept.
    output.clear();
    let mut http = in_exchange(GET_10);
    http.start(&mut output, head(200, headers, None), STYLE).expect("valid");
    let until_close = lines(&output);
    assert_eq!(field(&until_close, "content-length"), [""; 0]);
    assert_eq!(field(&until_close, "transfer-encoding"), [""; 0]);
    assert_eq!(field(&until_close, "connection"), ["Close"]);
    assert_eq!(http.complete(), Next::Close);
}

#[test]
fn h20_a_stream_of_a_declared_length_has_that_and_no_other() {
    let started = |request, output: &mut Vec<u8>| {
        let mut http = in_exchange(request);
        http.start(output, head(200, [(&b"Content-Length"[..], &b"6"[..])], Some(5)), STYLE).expect("valid");
        http
    };
    let mut output = Vec::new();
    for request in [GET, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        output.clear();
        let mut http = started(request, &mut output);
        assert_eq!(field(&lines(&output), "content-length"), ["5"]);
        assert_eq!(field(&lines(&output), "transfer-encoding"), [""; 0]);
        let head = output.len();
        for (length, finish) in [(2, false), (0, false), (3, false), (0, true)] {
            assert_eq!(http.frame_piece(length, &mut output, finish), Framed::Sent(b""));
        }
        assert_eq!(output.len(), head, "no piece has a frame of its own");
        assert_eq!(http.complete(), Next::Read);
    }
    assert_eq!(started(GET, &mut output).frame_piece(5, &mut output, true), Framed::Sent(b""));
    for (length, finish) in [(6, false), (6, true), (4, true), (0, true)] {
        assert_eq!(started(GET, &mut output).frame_piece(length, &mut output, finish), Framed::Mismatch, "{length} {finish}");
    }
}

#[test]
fn h20_statuses_without_a_body_carry_none() {
    let headers: [Header<'_>; 1] = [(b"Content-Length", b"5")];
    for (status, length) in [(100, vec![]), (103, vec![]), (204, vec![]), (205, vec!["0"]), (304, vec!["7"])] {
        let mut output = Vec::new();
        let declared = (status == 304).then_some(7);
        assert_eq!(in_exchange(GET).answer(&mut output, head(status, headers, declared), 5, STYLE), Ok(false), "{status}");
        assert_eq!(field(&lines(&output), "content-length"), length, "{status}");
        output.clear();
        let mut http = in_exchange(GET);
        http.start(&mut output, head(status, headers, declared), STYLE).expect("valid");
        assert_eq!(field(&lines(&output), "transfer-encoding"), [""; 0], "{status}");
        assert_eq!(http.frame_piece(5, &mut output, false), Framed::Swallowed, "{status}: its pieces are swallowed");
    }
}

#[test]
fn h20_a_tunnel_has_no_length() {
    for status in [200, 204, 205] {
        let connect = || in_exchange("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n");
        let (mut whole, mut streamed) = (Vec::new(), Vec::new());
        assert!(connect().answer(&mut whole, head(status, [], None), 0, STYLE).is_ok());
        assert!(connect().start(&mut streamed, head(status, [], Some(5)), STYLE).is_ok());
        for output in [whole, streamed] {
            assert_eq!(field(&lines(&output), "content-length"), [""; 0], "{status}");
            assert_eq!(field(&lines(&output), "transfer-encoding"), [""; 0], "{status}");
        }
    }
}

#[test]
fn h20_an_interim_status_in_place_of_an_answer_closes() {
    for (status, next) in [(100, Next::Close), (101, Next::Close), (103, Next::Close), (199, Next::Close), (200, Next::Read)] {
        let mut http = in_exchange(GET);
        assert!(http.answer(&mut Vec::new(), head(status, [], None), 0, STYLE).is_ok());
        assert_eq!(http.complete(), next, "{status}");
        let mut http = in_exchange(GET);
        assert!(http.start(&mut Vec::new(), head(status, [], None), STYLE).is_ok());
        assert_eq!(http.complete(), next, "{status}, streamed");
    }
}

#[test]
fn h20_an_answer_to_head_declares_and_sends_nothing() {
    for (declared, expected) in [(None, "5"), (Some(7), "7")] {
        let mut output = Vec::new();
        assert_eq!(in_exchange(HEAD).answer(&mut output, head(200, [], declared), 5, STYLE), Ok(false));
        assert_eq!(field(&lines(&output), "content-length"), [expected]);
    }
    let mut output = Vec::new();
    let mut http = in_exchange(HEAD);
    http.start(&mut output, head(200, [], None), STYLE).expect("valid");
    assert_eq!(field(&lines(&output), "transfer-encoding"), [""; 0]);
    assert_eq!(http.frame_piece(5, &mut output, true), Framed::Swallowed);
    assert_eq!(http.complete(), Next::Read);
}

#[test]
fn h20_connection_close_of_the_application_closes() {
    let cases: [(&str, &str, Next, &[&str]); 6] = [
        (GET, "close", Next::Close, &["close"]),
        (GET, "foo, Close", Next::Close, &["foo, Close"]),
        (GET, "keep-alive", Next::Read, &["keep-alive"]),
        (GET, "closed", Next::Read, &["closed"]),
        (GET_10, "CLOSE", Next::Close, &["CLOSE"]),
        // The client cannot keep it: a promise to do so must not stand.
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "keep-alive", Next::Close, &["Close"]),
    ];
    for (request, own, next, expected) in cases {
        let mut output = Vec::new();
        let mut http = in_exchange(request);
        let headers: [Header<'_>; 1] = [(b"Connection", own.as_bytes())];
        http.answer(&mut output, head(200, headers, None), 0, STYLE).expect("valid");
        assert_eq!(field(&lines(&output), "connection"), expected, "{own}");
        assert_eq!(http.complete(), next, "{own}");
    }
}

#[test]
fn server_and_date_are_added_unless_set() {
    let mut output = Vec::new();
    in_exchange(GET).answer(&mut output, head(200, [], None), 0, STYLE).expect("valid");
    assert_eq!(field(&lines(&output), "server"), ["test"]);
    assert_eq!(field(&lines(&output), "date").len(), 1);
    output.clear();
    let own: [Header<'_>; 2] = [(b"SERVER", b"mine"), (b"date", b"today")];
    in_exchange(GET).answer(&mut output, head(200, own, None), 0, STYLE).expect("valid");
    assert_eq!(field(&lines(&output), "server"), ["mine"]);
    assert_eq!(field(&lines(&output), "date"), ["today"]);
    output.clear();
    let none: [Header<'_>; 2] = [(b"Server", b""), (b"Date", b"")];
    in_exchange(GET).answer(&mut output, head(200, none, None), 0, STYLE).expect("valid");
    assert_eq!(field(&lines(&output), "server"), [""; 0]);
    assert_eq!(field(&lines(&output), "date"), [""; 0]);
}

#[test]
fn h20_an_http_1_0_client_is_told_that_the_connection_stays_whatever_else_the_handler_says_of_it() {
    for (value, expected) in
        [("upgrade", vec!["upgrade", "Keep-Alive"]), ("foo", vec!["foo", "Keep-Alive"]), ("Keep-Alive", vec!["Keep-Alive"])]
    {
        let mut http = in_exchange(GET_10);
        let mut output = Vec::new();
        let headers: [Header<'_>; 1] = [(b"Connection", value.as_bytes())];
        assert_eq!(http.answer(&mut output, head(200, headers, None), 0, STYLE), Ok(true));
        assert_eq!(field(&lines(&output), "connection"), expected);
        assert_eq!(http.complete(), Next::Read);
    }
}
