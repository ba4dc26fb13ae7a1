//! The state of one HTTP/1.1 connection: which request is being read, and what its answer may look like (RFC 9112 section 9).
//!
//! One exchange at a time: while a request waits for its answer nothing more is parsed, so answers keep the order of their
//! requests whatever threads produce them.

use super::answer::Streaming;
use super::body::BodyDecoder;
use super::chunked::Chunked;
use super::framing::Framing;
use super::method::Method;
use super::rejection::Rejection;
use super::request_head::{HeaderStorage, RequestHead};
use super::request_line;
use super::scanner::HeadScanner;

/// Limits on what a request may ask the server to hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body (413 beyond).
    pub max_body: u64,
    /// A body whose declared length is more, or that is chunked, is handed out while it arrives; [`u64::MAX`]: none is.
    pub stream_above: u64,
    /// Bytes of one line, CR LF included (414 for the request line, 431 for a field).
    pub max_line: u32,
    /// Bytes of a whole head (431 beyond).
    pub max_head: u32,
    /// Header fields, at most [`super::MAX_HEADERS`] (431 beyond).
    pub max_headers: u16,
}

/// The protocol state of a connection.
#[derive(Debug)]
pub struct Http1 {
    scanner: HeadScanner,
    pub(super) phase: Phase,
    pub(super) current: Current,
    /// The body of the current request, while the rest of it arrives.
    pub(super) streamed: Option<Box<BodyDecoder>>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Reading a head, or waiting for one.
    Head,
    /// Reading a body that did not come with its head.
    Body(Box<Incoming>),
    /// A request has been handed out. So many bytes of a streamed answer whose length was declared are still to come.
    Exchange { left: u64 },
    /// The connection speaks another protocol.
    Upgraded,
    /// Nothing more is read or written.
    Closed,
}

#[derive(Debug)]
pub(super) struct Incoming {
    collected: Collected,
    decoder: BodyDecoder,
}

/// A request whose body took more than one read: head and body, copied.
#[derive(Debug)]
pub struct Collected {
    head: Vec<u8>,
    /// The decoded body.
    pub body: Vec<u8>,
}

impl Collected {
    /// Parses the head again, which was valid when it arrived.
    ///
    /// # Errors
    /// None in practice: the same bytes were accepted before.
    pub fn parse<'h, 'b>(&'b self, storage: &'h mut HeaderStorage<'b>) -> Result<RequestHead<'h, 'b>, Rejection> {
        RequestHead::parse(&self.head, storage)
    }
}

/// What must be remembered of a request until its answer is complete.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Current {
    pub(super) http11: bool,
    pub(super) keep_alive: bool,
    /// The client would keep the connection.
    persistent: bool,
    pub(super) head: bool,
    pub(super) connect: bool,
    pub(super) streaming: Streaming,
}

/// What [`Http1::receive`] found.
#[derive(Debug)]
pub enum Received<'h, 'b> {
    /// The request is not complete; `consumed` bytes need not be shown again.
    Incomplete {
        /// Bytes of the input taken.
        consumed: usize,
    },
    /// As `Incomplete`, and the client waits for `100 Continue` (RFC 9110 section 10.1.1).
    Continue {
        /// Bytes of the input taken.
        consumed: usize,
    },
    /// A request that lies whole in the input.
    Request {
        /// Bytes of the input taken.
        consumed: usize,
        /// Its head.
        head: RequestHead<'h, 'b>,
        /// Its body.
        body: &'b [u8],
    },
    /// The head of a request whose body is to be read with [`Http1::receive_body`].
    Head {
        /// Bytes of the input taken.
        consumed: usize,
        /// The head.
        head: RequestHead<'h, 'b>,
        /// The client waits for `100 Continue` (RFC 9110 section 10.1.1).
        awaits_continue: bool,
    },
    /// A request that came in pieces.
    Collected {
        /// Bytes of the input taken.
        consumed: usize,
        /// Its head and body.
        request: Box<Collected>,
    },
}

/// What a connection does after an answer is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read the next request.
    Read,
    /// Close once everything is written.
    Close,
}

impl Http1 {
    /// The state of a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self { scanner: HeadScanner::default(), phase: Phase::Head, current: Current::default(), streamed: None }
    }

    /// Reads a request. `input` holds every byte received and not yet consumed. Call again when there is more.
    ///
    /// # Errors
    /// A [`Rejection`]: answer it, then close. Nothing more is read.
    pub fn receive<'h, 'b>(
        &mut self,
        input: &'b [u8],
        storage: &'h mut HeaderStorage<'b>,
        limits: &Limits,
    ) -> Result<Received<'h, 'b>, Rejection> {
        match &mut self.phase {
            Phase::Head => {
                let skipped = input.len().min(2) * usize::from(input.starts_with(b"\r\n"));
                let head = input[skipped..].starts_with(b"HEAD ");
                self.receive_head(input, storage, limits).map_err(|rejection| Rejection { head, ..rejection })
            }
            Phase::Body(incoming) => {
                let Incoming { collected, decoder } = &mut **incoming;
                match decoder.decode(input, &mut collected.body, limits) {
                    Ok((consumed, false)) => Ok(Received::Incomplete { consumed }),
                    Ok((consumed, true)) => Ok(self.finish_body(consumed)),
                    Err(rejection) => Err(Rejection { head: collected.head.starts_with(b"HEAD "), ..rejection }),
                }
            }
            Phase::Exchange { .. } | Phase::Upgraded | Phase::Closed => Ok(Received::Incomplete { consumed: 0 }),
        }
    }

    #[inline]
    fn receive_head<'h, 'b>(
        &mut self,
        input: &'b [u8],
        storage: &'h mut HeaderStorage<'b>,
        limits: &Limits,
    ) -> Result<Received<'h, 'b>, Rejection> {
        let Some(span) = self.scanner.scan_checked(input, limits)? else {
            return Ok(Received::Incomplete { consumed: 0 });
        };
        let scanner = self.scanner;
        let head = RequestHead::parse(&input[span.start..span.end], storage)
            .map_err(|rejection| request_line::fault(input, scanner).unwrap_or(rejection))?;
        self.scanner = HeadScanner::default();
        self.current = Current {
            http11: head.http11,
            keep_alive: head.keep_alive,
            persistent: head.keep_alive,
            head: head.method == Method::Head,
            connect: head.method == Method::Connect,
            streaming: Streaming::No,
        };
        let rest = &input[span.end..];
        let (decoder, streamed) = match head.framing {
            Framing::None => {
                self.phase = Phase::Exchange { left: 0 };
                return Ok(Received::Request { consumed: span.end, head, body: &[] });
            }
            Framing::Length(length) if length > limits.max_body => return Err(Rejection::BODY_TOO_LARGE),
            Framing::Length(length) if length <= rest.len() as u64 => {
                self.phase = Phase::Exchange { left: 0 };
                // `length` is at most rest.len().
                let body = &rest[..length as usize];
                return Ok(Received::Request { consumed: span.end + body.len(), head, body });
            }
            Framing::Length(remaining) => (BodyDecoder::Length { remaining }, remaining > limits.stream_above),
            Framing::Chunked => (BodyDecoder::Chunked(Chunked::new()), limits.stream_above < u64::MAX),
        };
        let awaits_continue = head.expects_continue && rest.is_empty();
        if streamed {
            self.phase = Phase::Exchange { left: 0 };
            self.streamed = Some(Box::new(decoder));
            return Ok(Received::Head { consumed: span.end, head, awaits_continue });
        }
        let collected = Collected { head: input[span.start..span.end].to_vec(), body: Vec::new() };
        self.phase = Phase::Body(Box::new(Incoming { collected, decoder }));
        Ok(if awaits_continue { Received::Continue { consumed: span.end } } else { Received::Incomplete { consumed: span.end } })
    }

    fn finish_body<'h, 'b>(&mut self, consumed: usize) -> Received<'h, 'b> {
        match std::mem::replace(&mut self.phase, Phase::Exchange { left: 0 }) {
            Phase::Body(incoming) => Received::Collected { consumed, request: Box::new(incoming.collected) },
            _ => Received::Incomplete { consumed },
        }
    }

    /// True while a request that has begun is not complete.
    pub(crate) fn is_mid_request(&self) -> bool {
        match self.phase {
            Phase::Head => self.scanner.has_begun(),
            Phase::Body(_) => true,
            Phase::Exchange { .. } | Phase::Upgraded | Phase::Closed => false,
        }
    }

    /// True while the body of a request is being read.
    pub(crate) fn is_reading_body(&self) -> bool {
        matches!(self.phase, Phase::Body(_))
    }

    /// Bytes of memory held for a request that is not complete.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.phase {
            Phase::Body(incoming) => incoming.collected.head.capacity() + incoming.collected.body.capacity(),
            Phase::Head | Phase::Exchange { .. } | Phase::Upgraded | Phase::Closed => 0,
        }
    }

    /// Bytes of a body that is not complete.
    pub(crate) fn collected(&self) -> usize {
        match &self.phase {
            Phase::Body(incoming) => incoming.collected.body.len(),
            Phase::Head | Phase::Exchange { .. } | Phase::Upgraded | Phase::Closed => 0,
        }
    }

    /// True while a request waits for its answer, or for the rest of it.
    #[must_use]
    pub fn is_in_exchange(&self) -> bool {
        matches!(self.phase, Phase::Exchange { .. })
    }

    /// True once nothing more is read.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// True while a streamed answer is under way.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.is_in_exchange() && self.current.streaming != Streaming::No
    }

    /// True if only the close tells the end of the current answer, or of the last one.
    pub(crate) fn is_until_close(&self) -> bool {
        self.current.streaming == Streaming::Raw
    }

    /// True if the client of the current or last request may send another whatever the answer says.
    pub(crate) fn may_go_on(&self) -> bool {
        self.current.persistent
    }

    /// The connection will not be kept after the current exchange.
    pub(crate) fn close_after_exchange(&mut self) {
        self.current.keep_alive = false;
    }

    /// The answer is complete: what the connection does next.
    pub fn complete(&mut self) -> Next {
        // Only the connection of a body that was read to its end is kept: see `encode`.
        self.streamed = None;
        if self.current.keep_alive {
            self.phase = Phase::Head;
            self.current = Current::default();
            Next::Read
        } else {
            self.phase = Phase::Closed;
            Next::Close
        }
    }

    /// Nothing more is read from this connection.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.streamed = None;
    }
}

impl Default for Http1 {
    fn default() -> Self {
        Self::new()
    }
}
