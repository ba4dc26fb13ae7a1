//! How long a body is (docs/RELIABILITY.md, H1 to H7). Two readers of one connection that disagree here let a request be smuggled.

use crate::cases::{Case, answered, chunked, post, rejected};

const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

pub(crate) fn cases() -> Vec<Case> {
    let mut all = both_framings();
    all.extend(lengths());
    all.extend(codings());
    all.extend(chunk_sizes());
    all.extend(extensions_and_trailers());
    all
}

fn both_framings() -> Vec<Case> {
    vec![
        rejected("H1", 400, "CL.TE", post("Content-Length: 43\r\nTransfer-Encoding: chunked\r\n", SMUGGLED)),
        rejected("H1", 400, "TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", SMUGGLED)),
        rejected("H1", 400, "folded TE", post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 43\r\n", SMUGGLED)),
        rejected("H1", 400, "empty TE and CL", post("Transfer-Encoding:\r\nContent-Length: 43\r\n", SMUGGLED)),
        rejected("H2", 400, "two lengths", post("Content-Length: 5\r\nContent-Length: 43\r\n", SMUGGLED)),
        rejected("H2", 400, "a list of lengths", post("Content-Length: 5, 43\r\n", SMUGGLED)),
        rejected("H2", 400, "twice the same length", post("Content-Length: 43\r\nContent-Length: 43\r\n", SMUGGLED)),
    ]
}

fn lengths() -> Vec<Case> {
    let case = |status, name, value: &str| rejected("H3", status, name, post(&format!("Content-Length: {value}\r\n"), SMUGGLED));
    vec![
        case(400, "plus sign", "+5"),
        case(400, "minus sign", "-5"),
        case(400, "hexadecimal", "0x5"),
        case(400, "two numbers", "5 5"),
        case(400, "underscore", "5_0"),
        case(400, "empty", ""),
        // 2^64 + 5: digits only, so it is a length, and no limit admits it.
        case(413, "overflow", "18446744073709551621"),
    ]
}

fn codings() -> Vec<Case> {
    let case = |name, line: &str| rejected("H4", 400, name, post(&format!("{line}\r\n"), SMUGGLED));
    vec![
        case("unknown", "Transfer-Encoding: xchunked"),
        case("identity", "Transfer-Encoding: identity"),
        case("chunked is not last", "Transfer-Encoding: chunked, identity"),
        case("chunked twice", "Transfer-Encoding: chunked, chunked"),
        case("chunked twice, on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        case("quoted", "Transfer-Encoding: \"chunked\""),
        case("space before the colon", "Transfer-Encoding : chunked"),
        case("vertical tab", "Transfer-Encoding: \u{b}chunked"),
        case("NUL", "Transfer-Encoding: chunked\0"),
        rejected(
            "H4",
            400,
            "on HTTP/1.0",
            format!("POST /first HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n{SMUGGLED}"),
        ),
    ]
}

fn chunk_sizes() -> Vec<Case> {
    let case = |status, name, body: &str| rejected("H5", status, name, chunked(body));
    vec![
        case(400, "plus sign", "+5\r\nhello\r\n0\r\n\r\n"),
        case(400, "minus sign", "-1\r\nhello\r\n0\r\n\r\n"),
        case(400, "0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        case(400, "empty", "\r\nhello\r\n0\r\n\r\n"),
        case(413, "overflow", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        case(400, "underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        case(400, "space before", " 5\r\nhello\r\n0\r\n\r\n"),
        case(400, "space after", "5 \r\nhello\r\n0\r\n\r\n"),
        case(400, "bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        case(400, "bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        case(400, "no CR LF after the data", "5\r\nhello0\r\n\r\n"),
        case(400, "bare LF after the data", "5\r\nhello\n0\r\n\r\n"),
        case(400, "LF in an extension", "5;a\nGET /smuggled HTTP/1.1\r\nhello\r\n0\r\n\r\n"),
        case(400, "CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ]
}

fn extensions_and_trailers() -> Vec<Case> {
    let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(1024 * 1024));
    vec![
        rejected("H6", 400, "extension of 1 MB", chunked(long)),
        answered("H6", 1, "extension", chunked("5;name=\"value; more\"\r\nhello\r\n0;last\r\n\r\n")),
        answered("H6", 1, "leading zeros", chunked("00000005\r\nhello\r\n000\r\n\r\n")),
        answered("H7", 1, "trailer", chunked("5\r\nhello\r\n0\r\nX-Checksum: 12\r\nX-Empty:\r\n\r\n")),
        rejected("H7", 400, "framing field as a trailer", chunked("5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n")),
        rejected("H7", 400, "trailer that ends in a bare LF", chunked("5\r\nhello\r\n0\r\nX-Checksum: 12\n\r\n")),
    ]
}
