//! What a client did against the protocol: a close code for it and a text for the log, both http-kit's.

use std::fmt;

use super::close_code::CloseCode;

/// A rule that was broken. The connection ends with one Close frame and delivers nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame without a mask.
    Unmasked,
    /// A reserved bit, which only an extension gives a meaning.
    ReservedBits,
    /// An opcode nobody defined.
    Opcode(u8),
    /// A control frame that is not final.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// A continuation of no message.
    NothingToContinue,
    /// A new message before the last one ended.
    MessageStillOpen,
    /// Two length bytes for what fits in seven bits.
    LongLength16,
    /// Eight length bytes for what fits in two, or with the highest bit set.
    LongLength64,
    /// A Close frame with half a code.
    HalfCloseCode,
    /// A Close frame with a code that is not for the wire.
    CloseCode(u16),
    /// Text or a close reason that is not UTF-8.
    Utf8,
    /// A message above the limit.
    TooBig {
        /// The limit.
        max: u64,
        /// The length of the message so far, this frame included.
        got: u64,
    },
    /// A message for which there is no memory: the server's fault, but its end is the same.
    NoRoom,
}

impl Violation {
    /// The code the connection is closed with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Utf8 => CloseCode::INVALID_PAYLOAD,
            Self::TooBig { .. } => CloseCode::TOO_BIG,
            Self::NoRoom => CloseCode::TRY_AGAIN_LATER,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unmasked => "unmasked client to server frame",
            Self::ReservedBits => "unsupported websocket extension data",
            Self::Opcode(opcode) => return write!(formatter, "unsupported websocket opcode: {opcode}"),
            Self::FragmentedControl => "fragmented websocket control frame",
            Self::ControlTooLong => "websocket control frame payload is too large",
            Self::NothingToContinue => "unexpected websocket continuation frame",
            Self::MessageStillOpen => "new data frame while fragmented message is open",
            Self::LongLength16 => "invalid data frame length (not using minimal length encoding)",
            Self::LongLength64 => "invalid data frame length. most significant bit is not zero or length fits in unsigned short.",
            Self::HalfCloseCode => "Invalid one-byte websocket close payload",
            Self::CloseCode(code) => return write!(formatter, "Invalid websocket close status: {code}"),
            Self::Utf8 => "Invalid UTF-8 websocket payload",
            Self::NoRoom => "no memory for a websocket message",
            Self::TooBig { max, got } => return write!(formatter, "Max payload length {max}, got: {got}"),
        })
    }
}

impl std::error::Error for Violation {}
