//! Frames: RFC 6455, section 5.2.

/// Any mask but zero: the server has to apply it. It need not be unpredictable, nothing is between the two.
pub const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const FINAL_TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
const LENGTH_IN_16_BITS: u8 = 126;
const LENGTH_IN_64_BITS: u8 = 127;

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
pub const MAX_HEAD_BYTES: usize = 14;

/// A text frame as a client sends it.
pub fn masked_text(payload: &[u8]) -> Vec<u8> {
    let (head, length) = text_head(payload.len(), MASKED);
    let mut frame = head[..length].to_vec();
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A text frame as a server sends it.
pub fn plain_text(payload: &[u8]) -> Vec<u8> {
    let (head, length) = text_head(payload.len(), 0);
    let mut frame = head[..length].to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// The head of a text frame without its mask, and how many bytes of it count.
pub fn text_head(payload_bytes: usize, mask_bit: u8) -> ([u8; MAX_HEAD_BYTES], usize) {
    let mut head = [0; MAX_HEAD_BYTES];
    head[0] = FINAL_TEXT;
    if payload_bytes < usize::from(LENGTH_IN_16_BITS) {
        head[1] = mask_bit | payload_bytes as u8;
        return (head, 2);
    }
    if let Ok(short) = u16::try_from(payload_bytes) {
        head[1] = mask_bit | LENGTH_IN_16_BITS;
        head[2..4].copy_from_slice(&short.to_be_bytes());
        return (head, 4);
    }
    head[1] = mask_bit | LENGTH_IN_64_BITS;
    head[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
    (head, 10)
}

/// Where a client's frame lies in a buffer that starts with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub payload_start: usize,
    pub end: usize,
    pub is_text: bool,
}

/// The layout of the frame that `bytes` start with; `None` when they end within its head. The payload may be incomplete.
pub fn layout(bytes: &[u8]) -> Option<Layout> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, head_bytes) = match second & !MASKED {
        LENGTH_IN_16_BITS => (usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
        LENGTH_IN_64_BITS => (usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let payload_start = head_bytes + MASK.len();
    Some(Layout { payload_start, end: payload_start.checked_add(length)?, is_text: first == FINAL_TEXT && second & MASKED != 0 })
}

/// Removes the mask from a payload, eight bytes at a time.
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(size_of::<u64>());
    for word in &mut words {
        let plain = u64::from_ne_bytes(*word.first_chunk().expect("eight bytes")) ^ wide;
        word.copy_from_slice(&plain.to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_is_found_and_unmasked_at_every_size_of_length() {
        for size in [0, 1, 7, 8, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..size).map(|number| number as u8).collect();
            let mut frame = masked_text(&payload);
            let found = layout(&frame).expect("a whole head");
            assert_eq!((found.end, found.is_text), (frame.len(), true), "{size} bytes");
            unmask(&mut frame[found.payload_start..], MASK);
            assert_eq!(frame[found.payload_start..], payload, "{size} bytes");
        }
    }

    #[test]
    fn a_head_in_pieces_has_no_layout() {
        let frame = masked_text(&[b'x'; 65_536]);
        for length in 0..10 {
            assert_eq!(layout(&frame[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_server_frame_carries_no_mask() {
        assert_eq!(plain_text(b"Hello"), [0x81, 0x05, b'H', b'e', b'l', b'l', b'o']);
    }
}
