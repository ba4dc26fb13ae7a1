//! Frames as a client writes them.

use httpkit_engine::websocket::Opcode;

pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame that may break any rule: first byte and mask bit are taken as given, the length as short as it can be.
pub(crate) fn raw(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend_from_slice(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A final frame.
pub(crate) fn frame(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(0x80 | opcode as u8, Some(MASK), payload.as_ref())
}

/// A frame after which the message goes on.
pub(crate) fn part(opcode: Opcode, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw(opcode as u8, Some(MASK), payload.as_ref())
}

/// A Close frame.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(Opcode::Close, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// The server's Close frame.
pub(crate) fn server_close(code: u16, reason: &str) -> Vec<u8> {
    raw(0x88, None, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}
