//! The form of a head (docs/RELIABILITY.md, H8 to H12). What one reader skips, repairs or folds, another takes for something else.

use crate::cases::{Case, answered, rejected, with_line, with_request_line};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = line_ends();
    all.extend(fields());
    all.extend(request_lines());
    all.extend(hosts());
    all
}

fn line_ends() -> Vec<Case> {
    vec![
        rejected("H8", 400, "bare LF after the request line", "GET /first HTTP/1.1\nHost: x\r\n\r\n"),
        rejected("H8", 400, "bare LF after a field", "GET /first HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
        rejected("H8", 400, "bare CR in a field", "GET /first HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"),
        rejected("H8", 400, "bare LF as the empty line", "GET /first HTTP/1.1\r\nHost: x\r\n\n"),
    ]
}

fn fields() -> Vec<Case> {
    let case = |name, line: &[u8]| rejected("H9", 400, name, with_line(line));
    vec![
        case("folded", b"A: b\r\n c"),
        case("space before the colon", b"A : b"),
        case("no colon", b"A"),
        case("empty name", b": b"),
        case("NUL in a name", b"A\0: b"),
        case("NUL in a value", b"A: b\0c"),
        case("control in a value", b"A: b\x01c"),
        case("brackets in a name", b"A[]: b"),
        rejected("H9", 400, "space before the first field", "GET /first HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n"),
        answered("H9", 1, "bytes above ASCII in a value", with_line(b"A: caf\xe9 \xc3\xa9")),
        answered("H9", 1, "empty value", with_line(b"A:")),
        answered("H9", 1, "tabs around a value", with_line(b"A:\t b\tc \t")),
    ]
}

fn request_lines() -> Vec<Case> {
    let case = |status, name, line: &[u8]| rejected("H10", status, name, with_request_line(line));
    vec![
        case(400, "no version", b"GET /first"),
        case(400, "HTTP/0.9", b"GET /first HTTP/0.9"),
        case(400, "HTTP/9.9", b"GET /first HTTP/9.9"),
        case(400, "HTTP/1.10", b"GET /first HTTP/1.10"),
        case(501, "method in lower case", b"get /first HTTP/1.1"),
        case(400, "version in lower case", b"GET /first http/1.1"),
        case(400, "two spaces before the target", b"GET  /first HTTP/1.1"),
        case(400, "two spaces before the version", b"GET /first  HTTP/1.1"),
        case(400, "tab", b"GET\t/first HTTP/1.1"),
        case(400, "something after the version", b"GET /first HTTP/1.1 smuggled"),
        case(400, "NUL in the target", b"GET /fi\0rst HTTP/1.1"),
        case(400, "0x80 in the target", b"GET /fi\x80rst HTTP/1.1"),
        case(400, "fragment", b"GET /first#part HTTP/1.1"),
        answered("H11", 1, "one empty line first", "\r\nGET /first HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
}

fn hosts() -> Vec<Case> {
    let case = |name, fields: &str| rejected("H12", 400, name, format!("GET /first HTTP/1.1\r\n{fields}\r\n"));
    vec![
        case("missing", "A: b\r\n"),
        case("two", "Host: x\r\nHost: y\r\n"),
        case("space", "Host: x y\r\n"),
        case("user information", "Host: y@x\r\n"),
        case("port that is none", "Host: x:99999\r\n"),
        answered("H12", 1, "missing on HTTP/1.0", "GET /first HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ]
}

/// Control bytes before a request line (CVE-2026-50020), and more than one empty line.
pub(crate) fn before_the_request_line() -> Vec<Case> {
    let request = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n";
    let case = |name, first: &[u8]| rejected("H11+", 400, name, [first, request].concat());
    let mut all = vec![
        case("two empty lines", b"\r\n\r\n"),
        case("bare LF", b"\n"),
        case("bare CR", b"\r"),
        case("space", b" "),
        case("tab", b"\t"),
        case("empty line, then LF", b"\r\n\n"),
        case("DEL", b"\x7f"),
        case("0x80", b"\x80"),
    ];
    let controls = (0..0x20_u8).filter(|byte| !matches!(byte, b'\r' | b'\n' | b'\t'));
    all.extend(controls.map(|byte| case("control byte", &[byte])));
    all.extend((0..0x20_u8).map(|byte| case("empty line, then a control byte", &[b'\r', b'\n', byte, byte])));
    all
}
