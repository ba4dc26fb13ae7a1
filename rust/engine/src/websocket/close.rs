//! How a WebSocket ends (RFC 6455 section 7): each side sends one Close frame, whoever begins.

use std::fmt;

use super::close_code::CloseCode;
use super::decoder::CloseFrame;
use super::encoder::{MAX_CONTROL, push_frame};
use super::opcode::Opcode;
use super::violation::Violation;

/// The longest reason of a Close frame, in bytes of UTF-8.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// How far a connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Messages go both ways.
    #[default]
    Open,
    /// Our Close frame is sent, the client's has not come: nothing more is sent or delivered, and the connection waits for it.
    Closing,
    /// Nothing more is read or sent. Once what is queued has been written the connection closes.
    Closed,
}

/// The end of a connection, as its owner hears of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The client's code, [`CloseCode::NO_STATUS`] if it gave none, or the code of the violation.
    pub code: CloseCode,
    /// The client's reason, or what the violation was.
    pub reason: String,
    /// What the client did against the protocol, if that is why.
    pub violation: Option<Violation>,
    /// The Close frame to send before the connection is closed. None if one was sent before.
    pub reply: Option<Vec<u8>>,
}

/// A Close frame that must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidClose {
    /// The code is not for the wire.
    Code(i32),
    /// The reason does not fit.
    Reason,
}

impl fmt::Display for InvalidClose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "Invalid websocket close status: {code}"),
            Self::Reason => write!(formatter, "Websocket close reason exceeds {MAX_REASON} bytes"),
        }
    }
}

impl std::error::Error for InvalidClose {}

impl State {
    /// The server closes. Returns the frame to send; `None` if the connection was closing already.
    pub(super) fn close(&mut self, code: i32, reason: &str) -> Result<Option<Vec<u8>>, InvalidClose> {
        let valid = u16::try_from(code).ok().map(CloseCode).filter(|code| code.may_be_sent());
        let code = valid.ok_or(InvalidClose::Code(code))?;
        if reason.len() > MAX_REASON {
            return Err(InvalidClose::Reason);
        }
        if *self != Self::Open {
            return Ok(None);
        }
        *self = Self::Closing;
        Ok(Some(encode(Some(code), reason)))
    }

    /// The client's Close frame has come: code and reason are echoed as they are, unless it answers ours.
    pub(super) fn received(&mut self, frame: CloseFrame) -> Closed {
        let reply = self.end(frame.code, &frame.reason);
        Closed { code: frame.code.unwrap_or(CloseCode::NO_STATUS), reason: frame.reason, violation: None, reply }
    }

    /// The client broke the protocol: it is told the code and nothing else.
    pub(super) fn violated(&mut self, violation: Violation) -> Closed {
        let code = violation.close_code();
        let reply = self.end(Some(code), "");
        Closed { code, reason: violation.to_string(), violation: Some(violation), reply }
    }

    fn end(&mut self, code: Option<CloseCode>, reason: &str) -> Option<Vec<u8>> {
        let before = std::mem::replace(self, Self::Closed);
        (before == Self::Open).then(|| encode(code, reason))
    }
}

/// A reason without a code cannot be sent, and no caller has one.
fn encode(code: Option<CloseCode>, reason: &str) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 + reason.len());
    if let Some(CloseCode(code)) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
    }
    let mut frame = Vec::with_capacity(2 + payload.len());
    push_frame(&mut frame, Opcode::Close, &payload);
    frame
}
