//! What the engine asks of the program it serves, and what it offers in return.
//!
//! The engine knows no JVM: [`Application`] is the whole boundary. A request goes out as a borrowed [`Request`]; its
//! answer comes back through an [`Exchange`](crate::Exchange), on the same thread or on any other, now or later.

use crate::dispatch::Route;
use crate::exchange::Exchange;
use crate::http1::{Method, NameIndex};

/// A program that answers requests. Methods are called on runtime threads and must not unwind.
///
/// Those that return a bool return false when the application could not take the news in, for want of memory for instance: then it is told
/// again later, until it has.
pub trait Application: Send + Sync + 'static {
    /// One request; its body included, unless it is [streamed](Request::streamed). Called without any lock held, so the application may
    /// answer through `exchange` before it returns, or keep `exchange.id()` and answer from another thread.
    fn request(&self, exchange: &Exchange<'_>, request: &Request<'_>);

    /// The outbox of an exchange that reported [`Sent::Full`](crate::Sent::Full) has room again.
    fn writable(&self, exchange: ExchangeId) -> bool;

    /// More of a body has come, or will not come, after [`Exchange::receive`](crate::Exchange::receive) said
    /// [`BodyPiece::Later`](crate::BodyPiece::Later). An application that never asks has no use for it.
    fn readable(&self, _exchange: ExchangeId) -> bool {
        true
    }

    /// An exchange that was not finished has lost its connection. Returns true at most once for an exchange.
    fn closed(&self, exchange: ExchangeId, cause: CloseCause) -> bool;

    /// One message or control frame of a WebSocket. Called without any lock held, and for one connection in order; calls do not overlap,
    /// but for one in place that has outlasted its budget. Its thread may have lost its core before it did anything, so that the application
    /// sees a later message first: [`Message::number`] tells. After [`Flow::Hold`] none follows until
    /// [`Exchange::resume`](crate::Exchange::resume), which may come before this returns.
    /// An application that upgrades nothing has no use for it.
    fn message(&self, _exchange: &Exchange<'_>, _message: &Message<'_>) -> Flow {
        Flow::GoOn
    }

    /// A WebSocket has ended, other than by [`Exchange::close_websocket`](crate::Exchange::close_websocket). Returns true at most once,
    /// after `messages` calls of [`Application::message`], of which one may be late.
    fn websocket_closed(&self, _exchange: ExchangeId, _end: &SocketEnd, _messages: u32) -> bool {
        true
    }

    /// The engine itself answered a request that could not be dispatched (400, 413, 414, 417, 431, 501, 503 …).
    fn rejected(&self, status: u16);

    /// `accept` failed (EMFILE, ENOBUFS …); the listener backs off and tries again. At most one call a second.
    fn accept_failed(&self, error: &std::io::Error);

    /// The server was told to drain, and its last connection has ended: of none is there anything that has not been heard.
    fn drained(&self) -> bool;
}

/// One request. Texts are Latin-1 bytes as received; `headers` are unique and in order of appearance.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// True for HTTP/1.1, false for HTTP/1.0.
    pub http11: bool,
    /// True if `Upgrade` lists `websocket`, whatever the rest of the handshake looks like (http-kit's `:websocket?`).
    pub websocket: bool,
    /// The request target up to the first `?`.
    pub uri: &'a [u8],
    /// What follows the first `?`, if there is one.
    pub query: Option<&'a [u8]>,
    /// Host without its port; `None` for an HTTP/1.0 request without Host.
    pub server_name: Option<&'a [u8]>,
    /// The port Host names, 80 if it names none (http-kit).
    pub server_port: u16,
    /// The client's address as Java prints it; `None` on a Unix socket.
    pub remote_address: Option<&'a [u8]>,
    /// Header fields.
    pub headers: &'a [HeaderField<'a>],
    /// The body, empty if there is none.
    pub body: &'a [u8],
    /// The body is still to come, piece by piece from [`Exchange::receive`](crate::Exchange::receive).
    pub streamed: bool,
    /// The handler is to run on this thread, before [`Application::request`] returns.
    pub in_place: bool,
    /// What the handler's time is to be reported for ([`observe`](crate::observe)) when it runs elsewhere.
    pub route: Route,
    /// When all of it, or the head of a [streamed](Request::streamed) one, had come: nanoseconds of the monotonic clock.
    pub received: u64,
}

/// One header field of a request.
#[derive(Debug, Clone)]
pub struct HeaderField<'a> {
    /// The name: an index into the shared table of common names, or the text.
    pub name: FieldName<'a>,
    /// The value without surrounding white space; several fields of one name are joined.
    pub value: std::borrow::Cow<'a, [u8]>,
}

/// The name of a request's header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldName<'a> {
    /// One of the common names in [`crate::http1::HEADER_NAMES`].
    Common(NameIndex),
    /// Any other, as received: whoever writes it down makes it lower case.
    Other(&'a [u8]),
}

impl FieldName<'_> {
    /// True if this is an uncommon name and equal to `text`, whatever the case.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        matches!(self, Self::Other(name) if name.eq_ignore_ascii_case(text))
    }

    /// True if both name the same field.
    pub(crate) fn same(&self, other: &FieldName<'_>) -> bool {
        match other {
            FieldName::Common(index) => *self == FieldName::Common(*index),
            FieldName::Other(text) => self.is(text),
        }
    }
}

/// A handle to one exchange that may be kept for any time: a stale one is refused, never mistaken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    /// The connection: slot and generation.
    pub connection: u64,
    /// The number of the request on its connection, from 1.
    pub exchange: u32,
}

/// What a client sent over a WebSocket.
#[derive(Debug)]
pub struct Message<'a> {
    /// What it is.
    pub kind: MessageKind,
    /// The payload without its mask.
    pub payload: &'a [u8],
    /// The callback may run on this thread, before [`Application::message`] returns.
    pub in_place: bool,
    /// What the callback's time is to be reported for ([`observe`](crate::observe)) when it runs elsewhere.
    pub route: Route,
    /// Its place among the messages of the connection, from 0.
    pub number: u32,
}

/// The kinds of messages; the discriminant is the opcode of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Valid UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// No message: the client broke the protocol, and its connection is failed next. [`Flow::Hold`] puts that off until
    /// [`Exchange::resume`](crate::Exchange::resume), for a second at most, so that earlier messages can still be answered.
    Broken = 8,
    /// A ping: the engine has answered it, unless the application wanted to.
    Ping = 9,
    /// A pong, asked for or not.
    Pong = 10,
}

/// Whether the application takes more messages of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    GoOn,
    /// It has enough for now: the client is held up by TCP.
    Hold,
}

/// How a WebSocket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketEnd {
    /// Who or what ended it.
    pub kind: SocketEndKind,
    /// The close code: the client's, the one that was sent, or 1006 for a connection that was lost.
    pub code: u16,
    /// The client's reason, or ours.
    pub reason: String,
}

/// What ended a WebSocket. The discriminant crosses the JNI boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketEndKind {
    /// The client's Close frame.
    Client = 0,
    /// The connection was lost.
    Lost = 1,
    /// The client broke the protocol.
    Violation = 2,
    /// The server stopped, or the application aborted.
    Server = 3,
    /// The client did not take what was sent to it.
    Slow = 4,
    /// Nothing came or went for too long, or a message did not go on.
    Idle = 5,
    /// There was no room for the client's message.
    Overload = 6,
}

/// Why an unfinished exchange lost its connection. The discriminant crosses the JNI boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The client went away.
    Client = 0,
    /// The server stopped, or the application aborted.
    Server = 1,
    /// A deadline passed.
    Timeout = 2,
}
