//! The mask every frame of a client wears (RFC 6455 section 5.3).

/// What the compiler turns into one or two vector instructions on every machine.
const BLOCK: usize = 32;

/// Takes the mask off, in place. `offset` is the place of `payload` in its frame: a frame may come in pieces of any size.
#[inline]
pub fn unmask(payload: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut turned = mask;
    turned.rotate_left((offset % 4) as usize);
    let mut key = [0; BLOCK];
    for part in key.chunks_exact_mut(turned.len()) {
        part.copy_from_slice(&turned);
    }
    // A block is a multiple of the mask, so each starts with the same byte of it.
    let mut blocks = payload.chunks_exact_mut(BLOCK);
    for block in &mut blocks {
        apply(block, &key);
    }
    apply(blocks.into_remainder(), &key);
}

#[inline(always)]
fn apply(bytes: &mut [u8], key: &[u8; BLOCK]) {
    for (byte, key) in bytes.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::unmask;

    #[test]
    fn every_length_offset_and_alignment() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..100_usize {
            for offset in 0..9_u64 {
                for start in 0..9_usize {
                    let original: Vec<u8> = (0..start + length).map(|byte| (byte * 7) as u8).collect();
                    let mut bytes = original.clone();
                    unmask(&mut bytes[start..], mask, offset);
                    for (place, (byte, was)) in bytes.iter().zip(&original).enumerate() {
                        let key = if place < start { 0 } else { mask[(place - start + offset as usize) % 4] };
                        assert_eq!(byte ^ was, key, "{length} bytes at {offset}, byte {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn offsets_beyond_what_a_machine_holds() {
        let mut bytes = *b"\0\0\0\0";
        unmask(&mut bytes, [1, 2, 3, 4], u64::MAX - 4);
        assert_eq!(bytes, [4, 1, 2, 3]);
    }
}
