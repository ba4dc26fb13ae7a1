//! The answering side of one exchange: everything an application can do with a request it was given.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::application::ExchangeId;
use crate::connection::Connection;
use crate::http1::{Headers, InvalidHead, ResponseHead};
use crate::registry;
use crate::remote_address::Address;
use crate::runtime;
use crate::websocket::{ControlTooLong, InvalidClose, Opcode};

/// One request and its pending answer, borrowed from the connection that carries it.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) number: u32,
}

/// What became of bytes handed to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Already answered, stale or closed: nothing was written.
    NotOpen,
    /// Written or queued.
    Accepted,
    /// Queued, and the outbox is above its window: send nothing more until
    /// [`Application::writable`](crate::Application::writable).
    Full,
}

/// What there is of a body that is read while it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyPiece {
    /// What has come since the last call, never empty.
    Bytes(Vec<u8>),
    /// Nothing yet: wait for [`Application::readable`](crate::Application::readable).
    Later,
    /// The body is complete.
    End,
    /// There will be no more of it: the client has gone, its body was refused, or the exchange is over.
    Lost,
}

/// How a WebSocket behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpgradeOptions {
    /// The application answers pings; the engine does not.
    pub own_pong: bool,
    /// Bytes of a message, 0 for the server's limit.
    pub max_message: u32,
    /// Milliseconds without a frame in either direction before it is closed with 1001, 0 for any time. Never earlier, at most twice as late.
    pub idle_millis: u32,
}

/// A body that lives outside the engine and is copied piece by piece as the socket takes it.
pub trait BodySource: Send {
    /// Bytes left.
    fn remaining(&self) -> u64;
    /// Copies the next bytes into `buffer`, returns how many; never blocks. 0 before `remaining` is 0 aborts the connection.
    fn read(&mut self, buffer: &mut [u8]) -> usize;
}

impl Exchange<'_> {
    /// A handle that may outlive this borrow.
    #[must_use]
    pub fn id(&self) -> ExchangeId {
        ExchangeId { connection: self.connection.id(), exchange: self.number }
    }

    /// A complete answer. The body is copied unless the socket takes it at once.
    ///
    /// # Errors
    /// [`InvalidHead`]; nothing was written and the exchange is still open.
    pub fn respond<'h, H: Headers<'h>>(&self, head: ResponseHead<H>, body: &[u8]) -> Result<Sent, InvalidHead> {
        self.connection.respond(self.number, head, body)
    }

    /// A complete answer whose body is read as the socket takes it.
    ///
    /// # Errors
    /// As [`Exchange::respond`].
    pub fn respond_source<'h, H: Headers<'h>>(
        &self,
        head: ResponseHead<H>,
        source: Box<dyn BodySource>,
    ) -> Result<Sent, InvalidHead> {
        self.connection.respond_source(self.number, head, source)
    }

    /// A complete answer whose body is the first `length` bytes of a file, sent by the kernel.
    ///
    /// # Errors
    /// As [`Exchange::respond`].
    pub fn respond_file<'h, H: Headers<'h>>(&self, head: ResponseHead<H>, file: File, length: u64) -> Result<Sent, InvalidHead> {
        self.connection.respond_file(self.number, head, file, length)
    }

    /// Begins an answer whose body comes by [`Exchange::send`]: chunked, or until the connection closes for an HTTP/1.0 client.
    ///
    /// # Errors
    /// As [`Exchange::respond`].
    pub fn start<'h, H: Headers<'h>>(&self, head: ResponseHead<H>) -> Result<Sent, InvalidHead> {
        self.connection.start(self.number, head)
    }

    /// One piece of a body begun with [`Exchange::start`]; `finish` ends it.
    #[must_use]
    pub fn send(&self, bytes: &[u8], finish: bool) -> Sent {
        self.connection.send(self.number, bytes, finish)
    }

    /// Answers with 101 and these headers: the exchange is a WebSocket from now on. That the request is a valid handshake is the
    /// application's to check.
    ///
    /// # Errors
    /// As [`Exchange::respond`].
    pub fn upgrade<'h, H: Headers<'h>>(&self, headers: H, options: UpgradeOptions) -> Result<Sent, InvalidHead> {
        if options.idle_millis > 0 {
            runtime::sweep_for(Duration::from_millis(u64::from(options.idle_millis)));
        }
        self.connection.upgrade(self.number, headers, options)
    }

    /// Sends one frame: a whole message, a ping or a pong. Not open before [`Exchange::upgrade`] and after the WebSocket was closed.
    ///
    /// # Errors
    /// [`ControlTooLong`]; nothing was sent.
    pub fn send_message(&self, opcode: Opcode, payload: &[u8]) -> Result<Sent, ControlTooLong> {
        self.connection.send_message(self.number, opcode, payload)
    }

    /// Closes the WebSocket: a Close frame now, the connection once the client has answered it, or 5 seconds later. Not open if it was
    /// closed before.
    ///
    /// # Errors
    /// [`InvalidClose`]; the WebSocket is as it was.
    pub fn close_websocket(&self, code: i32, reason: &str) -> Result<Sent, InvalidClose> {
        self.connection.close_websocket(self.number, code, reason)
    }

    /// The next piece of a [streamed](crate::Request::streamed) body; never blocks. The first call has a client go on that asked whether
    /// it may.
    #[must_use]
    pub fn receive(&self) -> BodyPiece {
        self.connection.receive(self.number)
    }

    /// Takes back one [`Flow::Hold`](crate::Flow::Hold).
    pub fn resume(&self) {
        self.connection.resume(self.number);
    }

    /// Asks to be told when the client closes its side. Otherwise a client that has done so may still be waiting for its answer, unless
    /// a streamed one is under way. False if the exchange is over or the client has gone: then
    /// [`Application::closed`](crate::Application::closed) has been or will be called, unless the exchange was answered.
    #[must_use]
    pub fn watch(&self) -> bool {
        self.connection.watch(self.number)
    }

    /// Ends the connection so that the client sees that the answer is not complete. What the socket has taken of it may arrive.
    pub fn abort(&self) {
        self.connection.abort_exchange(self.number);
    }

    /// The server's end of the connection, `None` once it is closed and the application has been told.
    #[must_use]
    pub fn local_address(&self) -> Option<Address> {
        self.connection.local_address()
    }

    /// The client's end of the connection.
    #[must_use]
    pub fn remote_address(&self) -> Address {
        self.connection.peer_address()
    }
}

/// Runs `f` on the exchange of that id; `None` if its connection has ended and the application has been told of it.
pub fn with_exchange<R>(id: ExchangeId, f: impl FnOnce(&Exchange<'_>) -> R) -> Option<R> {
    let connection = registry::get(id.connection)?;
    Some(f(&Exchange { connection: &connection, number: id.exchange }))
}
