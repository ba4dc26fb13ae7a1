//! The head of a frame (RFC 6455 section 5.2): what comes before its payload.
//!
//! Each byte is judged as soon as it is there, in order, so the verdict does not depend on how a head was cut into reads, and a
//! message above the limit is refused before a byte of it is read.

use super::opcode::Opcode;
use super::violation::Violation;

/// The longest head a client can send: two bytes, an eight-byte length, a mask.
pub(super) const MAX_HEAD: usize = 14;

/// A complete head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Bytes of payload.
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
    pub(super) opcode: Opcode,
    /// The message ends with this frame.
    pub(super) is_final: bool,
}

/// What the frames before this one allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// A message has begun and not ended.
    pub(super) message_open: bool,
    /// Its bytes so far.
    pub(super) received: u64,
    /// The limit of a message.
    pub(super) max_message: u64,
}

impl FrameHead {
    /// Reads a head and its length from the start of `bytes`; `None` while it is not complete.
    #[inline]
    pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, bytes)) = bytes.split_first() else { return Ok(None) };
        let opcode = check_first(first, expected.message_open)?;
        let Some((&second, bytes)) = bytes.split_first() else { return Ok(None) };
        let short = check_second(second, opcode)?;
        let (length, bytes, mut head) = match short {
            126 => {
                let Some((field, bytes)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
                let length = u16::from_be_bytes(*field);
                if length < 126 {
                    return Err(Violation::LongLength16);
                }
                (u64::from(length), bytes, 4)
            }
            127 => {
                let Some((field, bytes)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
                let length = u64::from_be_bytes(*field);
                if length <= u64::from(u16::MAX) || length > i64::MAX as u64 {
                    return Err(Violation::LongLength64);
                }
                (length, bytes, 10)
            }
            short => (u64::from(short), bytes, 2),
        };
        if !opcode.is_control() {
            let message = expected.received.saturating_add(length);
            if message > expected.max_message {
                return Err(Violation::TooBig { max: expected.max_message, got: message });
            }
        }
        let Some(mask) = bytes.first_chunk::<4>() else { return Ok(None) };
        head += mask.len();
        Ok(Some((Self { length, mask: *mask, opcode, is_final: first & 0x80 != 0 }, head)))
    }
}

#[inline]
fn check_first(first: u8, message_open: bool) -> Result<Opcode, Violation> {
    if first & 0x70 != 0 {
        return Err(Violation::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::Opcode(first & 0x0f))?;
    match opcode {
        Opcode::Continuation if !message_open => Err(Violation::NothingToContinue),
        Opcode::Text | Opcode::Binary if message_open => Err(Violation::MessageStillOpen),
        Opcode::Close | Opcode::Ping | Opcode::Pong if first & 0x80 == 0 => Err(Violation::FragmentedControl),
        _ => Ok(opcode),
    }
}

/// The seven bits that are the length, or say where it is.
#[inline]
fn check_second(second: u8, opcode: Opcode) -> Result<u8, Violation> {
    let short = second & 0x7f;
    if second & 0x80 == 0 {
        return Err(Violation::Unmasked);
    }
    if opcode.is_control() && short > 125 { Err(Violation::ControlTooLong) } else { Ok(short) }
}
