//! The state of one WebSocket: its inbound messages and how far it is from its end.

use std::borrow::Cow;

use super::close::{Closed, InvalidClose, State};
use super::decoder::{Decoded, Decoder, Item};

/// The protocol state of a connection after its handshake.
#[derive(Debug)]
pub struct WebSocket {
    decoder: Decoder,
    state: State,
}

/// What a client sent. Messages are whole; a borrowed one lies in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'i> {
    /// A message of valid UTF-8.
    Text(Cow<'i, [u8]>),
    /// A message of bytes.
    Binary(Cow<'i, [u8]>),
    /// To be answered by a pong with the same payload.
    Ping(Cow<'i, [u8]>),
    /// An answer to a ping, or a sign of life nobody asked for.
    Pong(Cow<'i, [u8]>),
    /// The connection has ended: send the reply, if any, and close. Nothing comes after it.
    Closed(Box<Closed>),
}

/// What [`WebSocket::receive`] found.
#[derive(Debug)]
pub struct Received<'i> {
    /// Bytes of the input taken: never shown again, for they may have lost their mask. All of them if there is no event.
    pub consumed: usize,
    /// The first event in them.
    pub event: Option<Event<'i>>,
}

impl WebSocket {
    /// The state right after the handshake.
    #[must_use]
    pub fn new(max_message: u32) -> Self {
        Self { decoder: Decoder::new(max_message), state: State::Open }
    }

    /// Reads up to the end of the next event. Call again while input is left.
    pub fn receive<'i>(&mut self, mut input: &'i mut [u8]) -> Received<'i> {
        let length = input.len();
        loop {
            if self.state == State::Closed {
                return Received { consumed: length, event: None };
            }
            let before = input.len();
            let Decoded { rest, item } = match self.decoder.decode(input) {
                Ok(decoded) => decoded,
                Err(violation) => {
                    let closed = self.state.violated(violation);
                    return Received { consumed: length, event: Some(Event::Closed(Box::new(closed))) };
                }
            };
            debug_assert!(item.is_some() || rest.is_empty());
            let consumed = length - rest.len();
            let event = match item {
                None => return Received { consumed, event: None },
                Some(Item::Close(frame)) => {
                    let closed = self.state.received(frame);
                    return Received { consumed: length, event: Some(Event::Closed(Box::new(closed))) };
                }
                // Whatever was under way when the server closed is of no more interest.
                Some(_) if self.state == State::Closing => {
                    debug_assert!(rest.len() < before);
                    input = rest;
                    continue;
                }
                Some(Item::Text(text)) => Event::Text(text),
                Some(Item::Binary(bytes)) => Event::Binary(bytes),
                Some(Item::Ping(payload)) => Event::Ping(payload),
                Some(Item::Pong(payload)) => Event::Pong(payload),
            };
            return Received { consumed, event: Some(event) };
        }
    }

    /// The server closes. Returns the Close frame to send, or `None` if there was one before. From here on nothing is delivered
    /// but the client's own Close frame; the owner waits for it as long as it likes.
    ///
    /// # Errors
    /// [`InvalidClose`]; the connection stays as it was.
    pub fn close(&mut self, code: i32, reason: &str) -> Result<Option<Vec<u8>>, InvalidClose> {
        let frame = self.state.close(code, reason)?;
        if frame.is_some() {
            self.decoder.discard_messages();
        }
        Ok(frame)
    }

    /// How far the connection is from its end. Only an open one sends.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// True while a frame or a message is not complete.
    pub(crate) fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_message()
    }

    /// Bytes of memory held for messages that are not complete.
    #[must_use]
    pub fn held(&self) -> usize {
        self.decoder.held()
    }

    /// Bytes of a message that is not complete.
    pub(crate) fn collected(&self) -> usize {
        self.decoder.collected()
    }
}
