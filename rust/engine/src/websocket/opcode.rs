//! What a frame is (RFC 6455 section 5.2).
//!
//! tungstenite has the same enumeration, but not without its read path and five crates nothing else here needs.

/// The meaning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message the last data frame began.
    Continuation = 0,
    /// The start of a message of UTF-8 text.
    Text = 1,
    /// The start of a message of bytes.
    Binary = 2,
    /// The last frame of its sender.
    Close = 8,
    /// A question whether the other side is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    /// The opcode of these four bits; `None` for the ten the RFC reserves.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Continuation),
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    /// Control frames may come between the frames of a message, are never fragmented and hold 125 bytes at most.
    pub(crate) const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}
