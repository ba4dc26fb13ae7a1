//! Request lines that httparse does not take: it wants targets in UTF-8, and some clients still send Latin-1, which http-kit serves.

use super::rejection::Rejection;
use super::request_head::{MAX_HEADERS, explain};

/// The parts of a request line as they were received.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine<'b> {
    pub(super) method: &'b [u8],
    pub(super) target: &'b [u8],
    pub(super) http11: bool,
}

const MALFORMED: Rejection = Rejection::bad("Malformed HTTP request line");

/// Parses a head again that httparse refused for its request line, if a byte beyond ASCII may be why. The fields go to `headers`.
#[cold]
pub(super) fn parse<'h, 'b>(
    head: &'b [u8],
    headers: &'h mut Vec<httparse::Header<'b>>,
) -> Result<(RequestLine<'b>, &'h [httparse::Header<'b>]), Rejection> {
    let end = memchr::memmem::find(head, b"\r\n").ok_or(MALFORMED)?;
    let (line, rest) = (&head[..end], &head[end + 2..]);
    if line.is_ascii() {
        return Err(MALFORMED);
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(MALFORMED);
    };
    let http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(MALFORMED),
    };
    if target.is_empty() || !method.is_ascii() {
        return Err(MALFORMED);
    }
    headers.resize(MAX_HEADERS, httparse::EMPTY_HEADER);
    match httparse::parse_headers(rest, headers) {
        Ok(httparse::Status::Complete((length, fields))) if length == rest.len() => {
            Ok((RequestLine { method, target, http11 }, fields))
        }
        Ok(_) => Err(MALFORMED),
        Err(error) => Err(explain(error)),
    }
}
