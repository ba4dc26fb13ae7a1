//! Finds the end of a head, line by line, without looking at a byte twice (RFC 9112 section 2.2).
//!
//! Every line must end in CR LF and keep to its limit. The scanner keeps its place between calls, so a client that sends one
//! byte at a time costs no more than one that sends the head whole.

use memchr::memchr2;

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

    /// True once the request line is complete.
    pub(super) fn has_line(self) -> bool {
        self.lines > 0
    }

    /// Where the request line begins.
    pub(super) fn start(self) -> usize {
        self.skipped as usize
    }

    /// Looks at the bytes not seen yet. `input` starts at the same byte in every call for one head. What is refused, and why, is
    /// settled by the first byte that breaks a rule: however the head was cut into reads, the verdict is the same.
    #[inline]
    pub(super) fn scan(&mut self, input: &[u8], limits: &Limits) -> Result<Option<HeadSpan>, Rejection> {
        let mut line_start = self.line_start as usize;
        let mut from = self.scanned as usize;
        while let Some(found) = memchr2(b'\r', b'\n', &input[from..]) {
            let end = from + found;
            if input[end] == b'\n' {
                self.check_length(line_start, end, limits)?;
                return Err(Rejection::BARE_LF);
            }
            self.check_length(line_start, end + 1, limits)?;
            match input.get(end + 1) {
                Some(b'\n') => {}
                Some(_) => return Err(Rejection::BARE_CR),
                None => return Ok(self.pause(end, line_start)),
            }
            let next = end + 2;
            if next > limits.max_head as usize {
                return Err(Rejection::HEAD_TOO_LONG);
            }
            if end == line_start {
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
            line_start = next;
            from = next;
        }
        self.check_length(line_start, input.len(), limits)?;
        Ok(self.pause(input.len(), line_start))
    }

    /// More input is needed. Both offsets fit: max_head is a u32.
    fn pause(&mut self, scanned: usize, line_start: usize) -> Option<HeadSpan> {
        self.scanned = scanned as u32;
        self.line_start = line_start as u32;
        None
    }

    /// Bytes up to `reached` belong to a line that has not ended there.
    #[inline]
    fn check_length(&self, line_start: usize, reached: usize, limits: &Limits) -> Result<(), Rejection> {
        let (line_limit, head_limit) = (line_start + limits.max_line as usize, limits.max_head as usize);
        if reached < line_limit && reached <= head_limit {
            return Ok(());
        }
        Err(if line_limit <= head_limit + 1 { self.too_long() } else { Rejection::HEAD_TOO_LONG })
    }

    fn too_long(&self) -> Rejection {
        if self.lines == 0 { Rejection::LINE_TOO_LONG } else { Rejection::FIELD_TOO_LONG }
    }
}
