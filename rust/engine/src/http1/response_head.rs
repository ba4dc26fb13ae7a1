//! A response head (RFC 9112 sections 4 and 6): written by the server, which alone decides how the body is framed.

use super::request_head::{has_token, is_field_value_byte, is_token_byte};
use super::status::reason;

/// Why a response head was refused. Nothing of it was written; the exchange is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidHead {
    /// Not in 100-999.
    Status(u16),
    /// Not a token (RFC 9110 section 5.6.2).
    HeaderName(Vec<u8>),
    /// CR, LF, NUL or another control character other than tab: a value must not end its line.
    HeaderValue,
}

/// http-kit's texts (HttpUtils, HeaderMap).
impl std::fmt::Display for InvalidHead {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "Invalid HTTP status code: {status}"),
            Self::HeaderName(name) => write!(formatter, "Invalid HTTP header name: {}", String::from_utf8_lossy(name)),
            Self::HeaderValue => formatter.write_str("Invalid character in HTTP header value"),
        }
    }
}

impl std::error::Error for InvalidHead {}

/// The header fields of a response in their order: names in any case, values as they go on the wire.
pub trait Headers<'h>: IntoIterator<Item = (&'h [u8], &'h [u8])> {}

impl<'h, I: IntoIterator<Item = (&'h [u8], &'h [u8])>> Headers<'h> for I {}

/// The head of a response as the application wants it. The engine owns framing: it drops `Content-Length` and
/// `Transfer-Encoding` from `headers` and adds its own, with `Connection`, `Server` and `Date` where they are missing.
#[derive(Debug, Clone)]
pub struct ResponseHead<H> {
    /// 100-999.
    pub status: u16,
    /// Names in any case, values as they go on the wire.
    pub headers: H,
    /// The length to declare when no body is sent (HEAD, 304), and the length of a stream that is known; ignored for a whole body.
    pub declared_length: Option<u64>,
}

/// How a response's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseBody {
    /// `Content-Length` and that many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// No length: the end of the connection ends the body (HTTP/1.0).
    UntilClose,
    /// No body follows; the length it would have had, if known (HEAD, 304).
    None(Option<u64>),
}

/// What the connection adds to a head.
#[derive(Debug, Clone, Copy)]
pub struct ResponseStyle<'a> {
    /// The request was HTTP/1.1.
    pub http11: bool,
    /// The connection could stay open after this response.
    pub keep_alive: bool,
    /// Value of `Server`, unless the application sets its own or the configuration has none.
    pub server: Option<&'a [u8]>,
    /// Value of `Date`, unless the application sets its own.
    pub date: &'a [u8],
}

/// Appends a head to `out`. Returns whether the connection stays open afterwards; on an error `out` is as it was.
///
/// # Errors
/// [`InvalidHead`] if the status or a header could not be sent without breaking the message apart.
pub fn encode_head<'h, H: Headers<'h>>(
    out: &mut Vec<u8>,
    status: u16,
    headers: H,
    body: ResponseBody,
    style: &ResponseStyle<'_>,
) -> Result<bool, InvalidHead> {
    let start = out.len();
    let result = try_encode(out, status, headers, body, style);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn try_encode<'h, H: Headers<'h>>(
    out: &mut Vec<u8>,
    status: u16,
    headers: H,
    body: ResponseBody,
    style: &ResponseStyle<'_>,
) -> Result<bool, InvalidHead> {
    status_line(out, status)?;
    let mut keep_alive = style.keep_alive && body != ResponseBody::UntilClose;
    let mut has_connection = false;
    let mut has_server = style.server.is_none();
    let mut has_date = false;
    for (name, value) in headers {
        // Without an early exit this is vectorised; values are valid as a rule.
        if !value.iter().fold(true, |valid, &byte| valid & is_field_value_byte(byte)) {
            return Err(InvalidHead::HeaderValue);
        }
        match name.len() {
            // An empty one of these says that there is to be none.
            4 if name.eq_ignore_ascii_case(b"date") => {
                has_date = true;
                if value.is_empty() {
                    continue;
                }
            }
            6 if name.eq_ignore_ascii_case(b"server") => {
                has_server = true;
                if value.is_empty() {
                    continue;
                }
            }
            // Length and coding are the server's: a handler's own could disagree with the bytes that follow.
            14 if name.eq_ignore_ascii_case(b"content-length") => continue,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => continue,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                if has_token(value, b"close") {
                    keep_alive = false;
                } else if !keep_alive {
                    continue;
                }
                // A client of HTTP/1.0 that is not told takes the end of the connection for that of the answer.
                has_connection |= style.http11 || !keep_alive || has_token(value, b"keep-alive");
            }
            _ => {}
        }
        push_name(out, name)?;
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    if status >= 200 && !has_connection {
        match (style.http11, keep_alive) {
            (true, false) => out.extend_from_slice(b"Connection: Close\r\n"),
            // The client may have asked to keep it; only the close tells it where the body ends.
            (false, false) if body == ResponseBody::UntilClose => out.extend_from_slice(b"Connection: Close\r\n"),
            (false, true) => out.extend_from_slice(b"Connection: Keep-Alive\r\n"),
            _ => {}
        }
    }
    match body {
        ResponseBody::Length(length) | ResponseBody::None(Some(length)) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        ResponseBody::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        ResponseBody::UntilClose | ResponseBody::None(None) => {}
    }
    if let (false, Some(server)) = (has_server, style.server) {
        out.extend_from_slice(b"Server: ");
        out.extend_from_slice(server);
        out.extend_from_slice(b"\r\n");
    }
    if !has_date {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(style.date);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    // An interim answer (RFC 9110 section 15.2) in place of one: what followed on the connection would be taken for this request's.
    Ok(keep_alive && status >= 200)
}

fn status_line(out: &mut Vec<u8>, status: u16) -> Result<(), InvalidHead> {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return Ok(());
    }
    if !(100..=999).contains(&status) {
        return Err(InvalidHead::Status(status));
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Each byte of a token in its upper case, 0 for any other byte.
static UPPER: [u8; 256] = token_bytes(true);
/// The same in lower case.
static LOWER: [u8; 256] = token_bytes(false);

const fn token_bytes(upper: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if is_token_byte(byte) {
            table[byte as usize] = if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        }
        byte += 1;
    }
    table
}

/// Writes `name: `, the first letter and letters after "-" upper case, the others lower (http-kit's form: `ETag` becomes `Etag`).
fn push_name(out: &mut Vec<u8>, name: &[u8]) -> Result<(), InvalidHead> {
    let mut case = &UPPER;
    let mut valid = !name.is_empty();
    out.extend(name.iter().map(|&byte| {
        let cased = case[usize::from(byte)];
        valid &= cased != 0;
        case = if byte == b'-' { &UPPER } else { &LOWER };
        cased
    }));
    if !valid {
        return Err(InvalidHead::HeaderName(name.to_vec()));
    }
    out.extend_from_slice(b": ");
    Ok(())
}

/// Appends a number in decimal.
fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}
