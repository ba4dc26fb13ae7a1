//! Finds the end of a head, line by line, without looking at a byte twice (RFC 9112 section 2.2).
//!
//! Every line must end in CR LF and keep to its limit. The scanner keeps its place between calls, so a client that sends one
//! byte at a time costs no more than one that sends the head whole.

use memchr::memchr;

use super::machine::Limits;
use super::rejection::Rejection;

/// The place reached in a head that is still arriving. Offsets are from the start of the input.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct HeadScanner {
    scanned: u32,
    line_start: u32,
    lines: u32,
    /// Length of the one empty line that may precede a request line.
    skipped: u32,
}

/// Where a complete head lies in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadSpan {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl HeadScanner {
    /// True once a byte of a request has arrived.
    pub(super) fn has_begun(self) -> bool {
        self.scanned > self.skipped
    }

    /// Looks at the bytes not seen yet. `input` starts at the same byte in every call for one head.
    #[inline]
    pub(super) fn scan(&mut self, input: &[u8], limits: &Limits) -> Result<Option<HeadSpan>, Rejection> {
        let max_line = limits.max_line as usize;
        let mut line_start = self.line_start as usize;
        let mut from = self.scanned as usize;
        while let Some(found) = memchr(b'\n', &input[from..]) {
            let newline = from + found;
            if newline == line_start || input[newline - 1] != b'\r' {
                return Err(Rejection::BARE_LF);
            }
            let next = newline + 1;
            if next - line_start > max_line {
                return Err(self.too_long());
            }
            if next - line_start == 2 {
                if self.lines > 0 {
                    return Ok(Some(HeadSpan { start: self.skipped as usize, end: next }));
                }
                // RFC 9112 section 2.2: a server should ignore at least one empty line before the request line. One is enough.
                if self.skipped > 0 {
                    return Err(Rejection::bad("Malformed HTTP request line"));
                }
                self.skipped = 2;
            } else {
                self.lines += 1;
                if self.lines > u32::from(limits.max_headers) + 1 {
                    return Err(Rejection::TOO_MANY_FIELDS);
                }
            }
            if next > limits.max_head as usize {
                return Err(Rejection::HEAD_TOO_LONG);
            }
            line_start = next;
            from = next;
        }
        self.rest(input, line_start, limits)
    }

    /// The last line is not complete: check what can be said of it already.
    fn rest(&mut self, input: &[u8], line_start: usize, limits: &Limits) -> Result<Option<HeadSpan>, Rejection> {
        let unseen = &input[line_start.max(self.scanned as usize).saturating_sub(1)..];
        let mut from = 0;
        while let Some(found) = memchr(b'\r', &unseen[from..]) {
            let after = from + found + 1;
            if after < unseen.len() && unseen[after] != b'\n' {
                return Err(Rejection::BARE_CR);
            }
            from = after;
        }
        if input.len() - line_start >= limits.max_line as usize {
            return Err(self.too_long());
        }
        if input.len() > limits.max_head as usize {
            return Err(Rejection::HEAD_TOO_LONG);
        }
        // Both fit: max_head is a u32.
        self.scanned = input.len() as u32;
        self.line_start = line_start as u32;
        Ok(None)
    }

    fn too_long(&self) -> Rejection {
        if self.lines == 0 { Rejection::LINE_TOO_LONG } else { Rejection::FIELD_TOO_LONG }
    }
}
