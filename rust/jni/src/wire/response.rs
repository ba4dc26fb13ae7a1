//! Response block: the head Java wants, and a small body with it.

use httpkit_engine::ResponseHead;

use super::cursor::{Malformed, Reader};

const DECLARED_LENGTH: u8 = 1;

/// A response block whose layout has been checked; headers are read from it again as they are wanted.
#[derive(Debug, Clone)]
pub(crate) struct ResponseBlock<'a> {
    status: u16,
    declared_length: Option<u64>,
    headers: Headers<'a>,
    body: &'a [u8],
}

impl<'a> ResponseBlock<'a> {
    /// Checks the whole block; its parts are borrowed, nothing is copied.
    pub(crate) fn read(block: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(block);
        let status = reader.u16()?;
        let flags = reader.u8()?;
        reader.u8()?;
        let count = reader.u16()?;
        reader.u16()?;
        let body_length = reader.u32()?;
        let declared_length = reader.u64()?;
        let headers = Headers { reader: reader.clone(), left: count };
        for _ in 0..count {
            reader.short_text()?;
            reader.long_text()?;
        }
        let body = reader.bytes(body_length as usize)?;
        if !reader.rest().is_empty() {
            return Err(Malformed("block is longer than its parts"));
        }
        let declared_length = (flags & DECLARED_LENGTH != 0).then_some(declared_length);
        Ok(Self { status, declared_length, headers, body })
    }

    pub(crate) fn head(&self) -> ResponseHead<Headers<'a>> {
        ResponseHead { status: self.status, headers: self.headers.clone(), declared_length: self.declared_length }
    }

    /// The inline body, empty if there is none.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Names and values of a checked response block.
#[derive(Debug, Clone)]
pub(crate) struct Headers<'a> {
    reader: Reader<'a>,
    left: u16,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // `ResponseBlock::read` has walked over these fields, so the reads succeed.
        Some((self.reader.short_text().ok()?, self.reader.long_text().ok()?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::ResponseBlock;
    use crate::wire::vectors::{garbage, vector};

    fn headers<'a>(block: &ResponseBlock<'a>) -> Vec<(&'a [u8], &'a [u8])> {
        block.head().headers.collect()
    }

    #[test]
    fn a_minimal_response_is_read_from_the_golden_block() {
        let bytes = vector("response-minimal");
        let block = ResponseBlock::read(&bytes).unwrap();
        assert_eq!((block.head().status, block.head().declared_length), (204, None));
        assert!(headers(&block).is_empty() && block.body().is_empty());
    }

    #[test]
    fn a_full_response_is_read_from_the_golden_block() {
        let bytes = vector("response-inline-body");
        let block = ResponseBlock::read(&bytes).unwrap();
        assert_eq!((block.head().status, block.head().declared_length), (200, None));
        let expected: [(&[u8], &[u8]); 4] = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"X-Name", "café".as_bytes()),
        ];
        assert_eq!(headers(&block), expected);
        assert_eq!(block.body(), "héllo\n".as_bytes());
    }

    #[test]
    fn a_declared_length_is_read_from_the_golden_block() {
        let bytes = vector("response-declared-length");
        let block = ResponseBlock::read(&bytes).unwrap();
        assert_eq!((block.head().status, block.head().declared_length), (304, Some(5_000_000_000)));
        assert_eq!(headers(&block), [(&b"ETag"[..], &b"\"1\""[..])]);
        assert!(block.body().is_empty());
    }

    #[test]
    fn every_truncation_and_a_surplus_are_errors() {
        for name in ["response-minimal", "response-inline-body", "response-declared-length"] {
            let mut bytes = vector(name);
            for length in 0..bytes.len() {
                assert!(ResponseBlock::read(&bytes[..length]).is_err(), "{name} cut at {length}");
            }
            bytes.push(0);
            assert!(ResponseBlock::read(&bytes).is_err(), "{name} with one byte more");
        }
    }

    #[test]
    fn garbage_never_panics_and_headers_agree_with_their_count() {
        let golden = vector("response-inline-body");
        for bytes in garbage(&golden) {
            if let Ok(block) = ResponseBlock::read(&bytes) {
                let count = u16::from_le_bytes([bytes[4], bytes[5]]);
                assert_eq!(headers(&block).len(), usize::from(count));
            }
        }
    }
}
