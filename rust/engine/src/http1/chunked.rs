//! The chunked transfer coding (RFC 9112 section 7.1), decoded strictly: hexadecimal digits and nothing else for a size, CR LF and
//! nothing else for a line end. Extensions are skipped, trailers checked and dropped: a trailer that became a header would let
//! a client forge what a proxy has verified.

use super::body::LEAST;
use super::machine::Limits;
use super::rejection::Rejection;
use super::request_head::{is_field_value_byte, is_token_byte};
use crate::growth::reserve;

/// Bytes of chunk extensions allowed in one body: they carry nothing a server uses (hyper allows the same 16 KiB).
const MAX_EXTENSIONS: u32 = 16 * 1024;
const LONGEST_FORBIDDEN: usize = 19;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        digits: u8,
    },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the first byte of a trailer line or of the final empty line.
    LineStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    FinalLf,
}

/// A decoder for one body.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes left of the current chunk, or its size while the digits arrive.
    size: u64,
    /// Bytes of data so far.
    received: u64,
    extension_bytes: u32,
    line_bytes: u32,
    trailer_bytes: u32,
    trailers: u16,
    name: [u8; LONGEST_FORBIDDEN],
    name_length: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size { digits: 0 },
            size: 0,
            received: 0,
            extension_bytes: 0,
            line_bytes: 0,
            trailer_bytes: 0,
            trailers: 0,
            name: [0; LONGEST_FORBIDDEN],
            name_length: 0,
        }
    }

    /// Decodes what there is, appends the data to `body`. Returns the bytes consumed and whether the body is complete.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<(usize, bool), Rejection> {
        let mut position = 0;
        while position < input.len() {
            if self.state == State::Data {
                // A chunk's size was checked against the limit when it was read, so it fits a usize of any machine.
                let take = (self.size as usize).min(input.len() - position);
                if !reserve(body, take, LEAST, usize::try_from(limits.max_body).unwrap_or(usize::MAX)) {
                    return Err(Rejection::NO_ROOM);
                }
                body.extend_from_slice(&input[position..position + take]);
                position += take;
                self.size -= take as u64;
                self.received += take as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let byte = input[position];
            position += 1;
            if self.step(byte, limits)? {
                return Ok((position, true));
            }
        }
        Ok((position, false))
    }

    /// One byte of the framing. True at the end of the body.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<bool, Rejection> {
        match self.state {
            State::Size { digits } => self.size_byte(byte, digits, limits)?,
            State::Extension => self.extension_byte(byte)?,
            State::SizeLf => {
                expect_lf(byte)?;
                self.line_bytes = 0;
                self.state = if self.size == 0 { State::LineStart } else { State::Data };
            }
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataCr => return Err(Rejection::bad("Expected CRLF after chunk data")),
            State::DataLf => {
                expect_lf(byte)?;
                self.state = State::Size { digits: 0 };
            }
            State::LineStart if byte == b'\r' => self.state = State::FinalLf,
            State::LineStart => {
                self.trailers += 1;
                if self.trailers > limits.max_headers {
                    return Err(Rejection::TOO_MANY_FIELDS);
                }
                self.name_length = 0;
                self.state = State::TrailerName;
                self.trailer_byte(byte, limits)?;
            }
            State::TrailerName | State::TrailerValue => self.trailer_byte(byte, limits)?,
            State::TrailerLf => {
                expect_lf(byte)?;
                self.line_bytes = 0;
                self.state = State::LineStart;
            }
            State::FinalLf => {
                expect_lf(byte)?;
                return Ok(true);
            }
            // `decode` copies data before it comes here.
            State::Data => {}
        }
        Ok(false)
    }

    fn size_byte(&mut self, byte: u8, digits: u8, limits: &Limits) -> Result<(), Rejection> {
        const INVALID: Rejection = Rejection::bad("Expected a non-negative chunk size");
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            b';' if digits > 0 => {
                self.state = State::Extension;
                return Ok(());
            }
            _ => return Err(INVALID),
        };
        // Leading zeros are legal; 16 digits hold any u64.
        if digits == 0 {
            self.size = 0;
        }
        if digits >= 16 || self.size >> 60 != 0 {
            return Err(INVALID);
        }
        self.size = self.size << 4 | u64::from(digit);
        if self.size.saturating_add(self.received) > limits.max_body {
            return Err(Rejection::BODY_TOO_LARGE);
        }
        self.state = State::Size { digits: digits + 1 };
        Ok(())
    }

    fn extension_byte(&mut self, byte: u8) -> Result<(), Rejection> {
        if byte == b'\r' {
            self.state = State::SizeLf;
            return Ok(());
        }
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSIONS {
            return Err(Rejection::bad("chunk extensions exceed the limit"));
        }
        // CVE-2025-58056: a LF inside an extension ends the line for one reader and not for another.
        if is_field_value_byte(byte) { Ok(()) } else { Err(Rejection::bad("Invalid character in chunk extension")) }
    }

    fn trailer_byte(&mut self, byte: u8, limits: &Limits) -> Result<(), Rejection> {
        self.line_bytes += 1;
        self.trailer_bytes += 1;
        if self.line_bytes > limits.max_line {
            return Err(Rejection::FIELD_TOO_LONG);
        }
        if self.trailer_bytes > limits.max_head {
            return Err(Rejection::HEAD_TOO_LONG);
        }
        match self.state {
            State::TrailerName if byte == b':' && self.name_length > 0 => {
                if is_forbidden(&self.name[..self.name_length.min(LONGEST_FORBIDDEN)], self.name_length) {
                    return Err(Rejection::bad("Forbidden trailer field"));
                }
                self.state = State::TrailerValue;
            }
            State::TrailerName if is_token_byte(byte) => {
                if let Some(slot) = self.name.get_mut(self.name_length) {
                    *slot = byte.to_ascii_lowercase();
                }
                self.name_length += 1;
            }
            State::TrailerValue if byte == b'\r' => self.state = State::TrailerLf,
            State::TrailerValue if is_field_value_byte(byte) => {}
            _ => return Err(Rejection::bad("Malformed HTTP header")),
        }
        Ok(())
    }
}

fn expect_lf(byte: u8) -> Result<(), Rejection> {
    if byte == b'\n' { Ok(()) } else { Err(Rejection::BARE_CR) }
}

/// Fields that frame, route, or authenticate must not come after the body (RFC 9110 section 6.5.1).
fn is_forbidden(name: &[u8], length: usize) -> bool {
    length == name.len()
        && matches!(
            name,
            b"host"
                | b"content-length"
                | b"transfer-encoding"
                | b"connection"
                | b"trailer"
                | b"upgrade"
                | b"te"
                | b"authorization"
                | b"proxy-authorization"
                | b"cookie"
                | b"expect"
                | b"forwarded"
                | b"content-type"
                | b"content-encoding"
                | b"range"
        )
}
