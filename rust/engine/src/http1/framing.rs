//! How long a request's body is (RFC 9112 section 6), decided so that no two readers can disagree.

use super::rejection::Rejection;

/// The framing of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What the framing fields of one head said.
#[derive(Debug, Default)]
pub(super) struct FramingFields<'a> {
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
}

impl<'a> FramingFields<'a> {
    /// A second Content-Length is refused even when it repeats the first: RFC 9112 section 6.3 allows refusing, and a proxy
    /// in front may have chosen the other one.
    pub(super) fn content_length(&mut self, value: &'a [u8]) -> Result<(), Rejection> {
        if self.content_length.replace(value).is_some() {
            return Err(Rejection::bad("Invalid Content-Length"));
        }
        Ok(())
    }

    pub(super) fn transfer_encoding(&mut self, value: &'a [u8]) -> Result<(), Rejection> {
        if self.transfer_encoding.replace(value).is_some() {
            return Err(Rejection::bad("Unsupported Transfer-Encoding"));
        }
        Ok(())
    }

    pub(super) fn resolve(&self, http11: bool) -> Result<Framing, Rejection> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Framing::None),
            (None, Some(value)) => {
                parse_length(value).map(|length| if length == 0 { Framing::None } else { Framing::Length(length) })
            }
            (Some(_), Some(_)) => Err(Rejection::bad("Request contains both Transfer-Encoding and Content-Length")),
            // RFC 9112 section 6.1: faulty framing on 1.0; any coding but a single "chunked" we do not implement.
            (Some(value), None) if http11 && value.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Rejection::bad("Unsupported Transfer-Encoding")),
        }
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Rejection> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Rejection::bad("Invalid Content-Length"));
    }
    let mut length: u64 = 0;
    for digit in value {
        // Digits only, but more than fits: it is a length, and too large for any limit.
        length = match length.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0'))) {
            Some(sum) => sum,
            None => return Err(Rejection::BODY_TOO_LARGE),
        };
    }
    Ok(length)
}
