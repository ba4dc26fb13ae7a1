//! Text judged as it arrives (RFC 3629): a byte no continuation could make valid is found in the read that brings it.

use std::str::from_utf8;

/// A validator that remembers the character a piece of text ended in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// The first bytes of a character that is not complete.
    partial: [u8; 4],
    length: u8,
}

impl Utf8 {
    /// Judges the next piece. False once no continuation can make the text valid; the validator is then of no more use.
    #[must_use]
    pub fn push(&mut self, mut piece: &[u8]) -> bool {
        while self.length > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return true };
            piece = rest;
            // Three bytes at most wait: a fourth completes any character or is wrong.
            self.partial[usize::from(self.length)] = byte;
            self.length += 1;
            match from_utf8(&self.partial[..usize::from(self.length)]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = from_utf8(piece) else { return true };
        if error.error_len().is_some() {
            return false;
        }
        let tail = &piece[error.valid_up_to()..];
        self.partial[..tail.len()].copy_from_slice(tail);
        self.length = tail.len() as u8;
        true
    }

    /// True if the text could end here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8;

    /// The number of bytes after which a validator fed one byte at a time gives up.
    fn refused_after(text: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        text.iter().position(|&byte| !utf8.push(&[byte])).map(|place| place + 1)
    }

    #[test]
    fn the_first_byte_that_cannot_be_right_is_refused() {
        for (text, place) in [
            (b"\x80".as_slice(), 1),
            (b"a\xff", 2),
            (b"\xc0\xaf", 1),
            (b"\xc1\xbf", 1),
            (b"\xc2a", 2),
            (b"\xe0\x9f\xbf", 2),
            (b"\xed\xa0\x80", 2),
            (b"\xef\xbfa", 3),
            (b"\xf0\x8f\xbf\xbf", 2),
            (b"\xf4\x90\x80\x80", 2),
            (b"\xf5\x80\x80\x80", 1),
            (b"\xf0\x9f\x98a", 4),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 13),
        ] {
            assert_eq!(refused_after(text), Some(place), "{text:x?}");
            assert!(!Utf8::default().push(text));
        }
    }

    #[test]
    fn characters_of_every_length_at_every_cut() {
        let text = "aé€😀\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}".repeat(5);
        for cut in 0..=text.len() {
            let mut utf8 = Utf8::default();
            assert!(utf8.push(&text.as_bytes()[..cut]) && utf8.is_complete() == text.is_char_boundary(cut));
            assert!(utf8.push(b"") && utf8.push(&text.as_bytes()[cut..]) && utf8.is_complete());
        }
    }
}
