//! Why a request was refused: a status and a text, answered once before the connection closes (RFC 9112 section 2.2).

/// A request the core refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the one answer: 400, 408, 413, 414, 417, 431, 501 or 503.
    pub status: u16,
    /// A plain text that says which rule was broken. Never echoes what the client sent.
    pub reason: &'static str,
    /// The request is known to be a HEAD request: the answer carries no body.
    pub head: bool,
}

impl Rejection {
    pub(super) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, head: false }
    }

    pub(crate) const fn bad(reason: &'static str) -> Self {
        Self::new(400, reason)
    }

    pub(super) const LINE_TOO_LONG: Self = Self::new(414, "request line exceeds the limit");
    pub(super) const FIELD_TOO_LONG: Self = Self::new(431, "header field exceeds the limit");
    pub(super) const HEAD_TOO_LONG: Self = Self::new(431, "HTTP headers exceed the limit");
    pub(super) const TOO_MANY_FIELDS: Self = Self::new(431, "too many header fields");
    pub(super) const BODY_TOO_LARGE: Self = Self::new(413, "request body exceeds the limit");
    pub(super) const BARE_LF: Self = Self::bad("Expected CR before LF");
    pub(super) const BARE_CR: Self = Self::bad("Expected LF after CR");

    /// The body does not fit into the memory there is, or into what all clients together may hold (RFC 9110 section 15.6.4).
    pub(crate) const NO_ROOM: Self = Self::new(503, "the server has no room for the request body");
    /// The client took too long to send a request it had begun (RFC 9110 section 15.5.9).
    pub(crate) const TIMEOUT: Self = Self::new(408, "request was not received in time");
}
