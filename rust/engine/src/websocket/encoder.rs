//! The server's frames: unfragmented, unmasked, the length in as few bytes as hold it (RFC 6455 section 5.2).

use std::fmt;

use super::opcode::Opcode;

/// The longest payload of a control frame.
pub(crate) const MAX_CONTROL: usize = 125;

/// The head of one frame that is a whole message.
///
/// Apart from the payload, so that both are written with one `writev`, and so that a message encoded once serves any number of
/// connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; 10],
    length: u8,
}

impl FrameHeader {
    /// The head of a frame with that many bytes of payload.
    #[must_use]
    pub fn new(opcode: Opcode, payload: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = 0x80 | opcode as u8;
        let length = match payload {
            0..=125 => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, length }
    }

    /// What goes before the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Appends a whole frame.
pub(crate) fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.extend_from_slice(FrameHeader::new(opcode, payload.len()).as_bytes());
    out.extend_from_slice(payload);
}

/// More than 125 bytes for a control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlTooLong;

impl fmt::Display for ControlTooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Websocket control frame payload exceeds 125 bytes")
    }
}

impl std::error::Error for ControlTooLong {}

#[cfg(test)]
mod tests {
    use super::{FrameHeader, push_frame};
    use crate::websocket::Opcode;

    /// RFC 6455 section 5.7.
    #[test]
    fn examples_of_the_rfc() {
        let mut out = Vec::new();
        push_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(FrameHeader::new(Opcode::Binary, 256).as_bytes(), [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(FrameHeader::new(Opcode::Binary, 65536).as_bytes(), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn lengths_take_as_few_bytes_as_hold_them() {
        for (payload, length) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10), (usize::MAX >> 1, 10)] {
            let header = FrameHeader::new(Opcode::Text, payload);
            assert_eq!(header.as_bytes().len(), length, "{payload}");
        }
        assert_eq!(FrameHeader::new(Opcode::Text, 126).as_bytes(), [0x81, 126, 0, 126]);
        assert_eq!(FrameHeader::new(Opcode::Text, 65535).as_bytes(), [0x81, 126, 255, 255]);
    }
}
