//! The answer to the current request: its head, and the framing of a body that comes in pieces (RFC 9112 sections 6 and 7).

use super::machine::{Http1, Phase};
use super::response_head::{Headers, InvalidHead, ResponseBody, ResponseHead, ResponseStyle, encode_head};

/// Whether a streamed answer is under way, and how its pieces are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Streaming {
    #[default]
    No,
    Chunked,
    Raw,
    /// Its length was declared.
    Sized,
    /// A stream that answers HEAD: its pieces are swallowed.
    Discarded,
}

/// What becomes of one piece of a streamed body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed {
    /// It goes out, with these bytes behind it.
    Sent(&'static [u8]),
    /// The answer has no body.
    Swallowed,
    /// The body is not as long as was declared: what has gone out cannot be completed.
    Mismatch,
}

impl Http1 {
    /// Writes the head of a complete answer with a body of `length` bytes. Returns whether the body is to be sent.
    ///
    /// # Errors
    /// [`InvalidHead`]; nothing was written and the exchange is still open.
    pub fn answer<'h, H: Headers<'h>>(
        &mut self,
        out: &mut Vec<u8>,
        head: ResponseHead<H>,
        length: u64,
        style: ResponseStyle<'_>,
    ) -> Result<bool, InvalidHead> {
        let status = head.status;
        let body = match self.bodyless(status, head.declared_length, Some(length)) {
            Some(body) => body,
            None if self.opens_tunnel(status) => ResponseBody::UntilClose,
            None => ResponseBody::Length(length),
        };
        self.encode(out, head, body, style)?;
        Ok(status != 205 && !matches!(body, ResponseBody::None(_)))
    }

    /// Writes the head of an answer whose body comes in pieces through [`Http1::frame_piece`], and has the declared length if there is
    /// one.
    ///
    /// # Errors
    /// [`InvalidHead`]; nothing was written and the exchange is still open.
    pub fn start<'h, H: Headers<'h>>(
        &mut self,
        out: &mut Vec<u8>,
        head: ResponseHead<H>,
        style: ResponseStyle<'_>,
    ) -> Result<(), InvalidHead> {
        let (status, declared) = (head.status, head.declared_length);
        let (body, streaming) = match self.bodyless(status, declared, None) {
            Some(body) => (body, Streaming::Discarded),
            None if declared.is_some() && !self.opens_tunnel(status) => {
                (ResponseBody::Length(declared.unwrap_or_default()), Streaming::Sized)
            }
            None if self.current.http11 && !self.opens_tunnel(status) => (ResponseBody::Chunked, Streaming::Chunked),
            None => (ResponseBody::UntilClose, Streaming::Raw),
        };
        self.encode(out, head, body, style)?;
        self.current.streaming = streaming;
        self.phase = Phase::Exchange { left: declared.unwrap_or_default() };
        Ok(())
    }

    /// Writes the head of a 101 (RFC 9110 section 15.2.2): the request has its answer, and nothing more is read or written here.
    ///
    /// # Errors
    /// [`InvalidHead`]; nothing was written and the exchange is still open.
    pub fn upgrade<'h, H: Headers<'h>>(
        &mut self,
        out: &mut Vec<u8>,
        headers: H,
        style: ResponseStyle<'_>,
    ) -> Result<(), InvalidHead> {
        encode_head(out, 101, headers, ResponseBody::None(None), &style)?;
        self.phase = Phase::Upgraded;
        Ok(())
    }

    /// Such an answer says nothing of a body (RFC 9110 section 9.3.6), so the close ends it.
    fn opens_tunnel(&self, status: u16) -> bool {
        self.current.connect && matches!(status, 200..=299)
    }

    /// The framing of an answer that carries no body, `None` for one that does (RFC 9110 sections 6.4.1, 8.6, 9.3.6, 15.3.6).
    fn bodyless(&self, status: u16, declared: Option<u64>, length: Option<u64>) -> Option<ResponseBody> {
        match status {
            100..=199 | 204 => Some(ResponseBody::None(None)),
            205 if self.opens_tunnel(status) => Some(ResponseBody::None(None)),
            205 => Some(ResponseBody::Length(0)),
            304 => Some(ResponseBody::None(declared)),
            _ if self.current.head => Some(ResponseBody::None(declared.or(length))),
            _ => None,
        }
    }

    fn encode<'h, H: Headers<'h>>(
        &mut self,
        out: &mut Vec<u8>,
        head: ResponseHead<H>,
        body: ResponseBody,
        style: ResponseStyle<'_>,
    ) -> Result<(), InvalidHead> {
        // RFC 9112 section 9.3: a body that was not read would be taken for the next request.
        let keep_alive = self.current.keep_alive && style.keep_alive && self.streamed.is_none();
        let style = ResponseStyle { http11: self.current.http11, keep_alive, ..style };
        self.current.keep_alive = encode_head(out, head.status, head.headers, body, &style)?;
        Ok(())
    }

    /// Frames one piece of a streamed body: what goes before it is added to `prefix`.
    pub fn frame_piece(&mut self, length: usize, prefix: &mut Vec<u8>, finish: bool) -> Framed {
        match self.current.streaming {
            Streaming::Chunked => {
                if length > 0 {
                    push_chunk_size(prefix, length);
                }
                Framed::Sent(match (length > 0, finish) {
                    (true, true) => b"\r\n0\r\n\r\n",
                    (true, false) => b"\r\n",
                    (false, true) => b"0\r\n\r\n",
                    (false, false) => b"",
                })
            }
            Streaming::Raw => Framed::Sent(b""),
            Streaming::Sized => {
                let Phase::Exchange { left } = &mut self.phase else { return Framed::Swallowed };
                match left.checked_sub(length as u64) {
                    Some(rest) if rest == 0 || !finish => {
                        *left = rest;
                        Framed::Sent(b"")
                    }
                    _ => Framed::Mismatch,
                }
            }
            Streaming::Discarded | Streaming::No => Framed::Swallowed,
        }
    }
}

fn push_chunk_size(out: &mut Vec<u8>, length: usize) {
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (place * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}
