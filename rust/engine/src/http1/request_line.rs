//! What a client is told before its head is complete: that it does not speak HTTP (RFC 9112 section 3).
//!
//! It might never send the rest: TLS, SSH and HTTP/0.9 wait for an answer to what they have said.

use super::machine::Limits;
use super::rejection::Rejection;
use super::request_head::{HeaderStorage, RequestHead, is_token_byte};
use super::scanner::{HeadScanner, HeadSpan};

/// What is wrong with the request line of a head of which so much has come, or with its first byte while it is not complete. What follows the
/// line makes no difference: the verdict is the same for every way the head is cut into reads.
#[cold]
pub(super) fn fault(input: &[u8], scanner: HeadScanner) -> Option<Rejection> {
    let head = input.get(scanner.start()..)?;
    let first = head.first()?;
    if !is_token_byte(*first) && !matches!(first, b'\r' | b'\n') {
        return Some(Rejection::bad("Malformed HTTP request line"));
    }
    if !scanner.has_line() {
        return None;
    }
    let end = memchr::memchr(b'\n', head)? + 1;
    let whole = [&head[..end], b"Host: a\r\n\r\n"].concat();
    RequestHead::parse(&whole, &mut HeaderStorage::new()).err()
}

impl HeadScanner {
    /// Reads on; a head that is not complete, or refused, is refused first for its beginning.
    #[inline]
    pub(super) fn scan_checked(&mut self, input: &[u8], limits: &Limits) -> Result<Option<HeadSpan>, Rejection> {
        let before = *self;
        let scanned = self.scan(input, limits);
        if matches!(scanned, Ok(Some(_))) {
            return scanned;
        }
        let is_news = before.has_begun() != self.has_begun() || before.has_line() != self.has_line() || scanned.is_err();
        match is_news.then(|| fault(input, *self)).flatten() {
            Some(fault) => Err(fault),
            None => scanned,
        }
    }
}
