//! Limits, methods, partial requests, and the features of ordinary traffic (docs/RELIABILITY.md, H13 to H16).

use crate::cases::{Case, answered, rejected, waits, with_line, with_request_line};

pub(crate) fn cases() -> Vec<Case> {
    let mut all = limits();
    all.extend(methods());
    all.extend(prefixes());
    all.extend(features());
    all
}

fn limits() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|number| format!("A{number}: b\r\n")).collect::<String>();
    let heads = |fields: &str| format!("GET /first HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    vec![
        rejected("H13", 414, "request line of 70 kB", with_request_line(format!("GET /{} HTTP/1.1", "a".repeat(70_000)))),
        rejected("H13", 431, "field of 70 kB", with_line(format!("A: {}", "b".repeat(70_000)))),
        rejected("H13", 431, "2000 fields", heads(&many(2_000))),
        rejected("H13", 431, "10000 fields", heads(&many(10_000))),
        rejected("H13", 413, "length of 9 MB", "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 9437184\r\n\r\n"),
    ]
}

fn methods() -> Vec<Case> {
    vec![
        rejected("H14", 501, "unknown", with_request_line("FROBNICATE /first HTTP/1.1")),
        rejected("H14", 501, "QUERY", with_request_line("QUERY /first HTTP/1.1")),
    ]
}

fn prefixes() -> Vec<Case> {
    vec![
        waits("H15", "nothing", ""),
        waits("H15", "part of a method", "GE"),
        waits("H15", "a method", "GET "),
        waits("H15", "part of a target", "GET /fir"),
        waits("H15", "part of a version", "GET /first HTTP/1."),
        waits("H15", "CR of the request line", "GET /first HTTP/1.1\r"),
        waits("H15", "a request line", "GET /first HTTP/1.1\r\n"),
        waits("H15", "part of a field", "GET /first HTTP/1.1\r\nHo"),
        waits("H15", "all but the empty line", "GET /first HTTP/1.1\r\nHost: x\r\n"),
        waits("H15", "part of a body", "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell"),
        waits("H15", "part of a chunk", "POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    ]
}

fn features() -> Vec<Case> {
    let pipelined = "GET /one HTTP/1.1\r\nHost: x\r\n\r\n\
                     POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
                     POST /three HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let expecting = "POST /first HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello";
    vec![
        answered("H16", 3, "pipelining", pipelined),
        answered("H16", 1, "100-continue", expecting),
        answered("H16", 1, "HEAD", with_request_line("HEAD /first HTTP/1.1")),
        answered("H16", 1, "absolute form", with_request_line("GET http://y:81/first?q HTTP/1.1")),
        answered("H16", 1, "OPTIONS *", with_request_line("OPTIONS * HTTP/1.1")),
        rejected("H16", 417, "unknown expectation", with_line("Expect: 200-ok")),
    ]
}
