//! Reading and writing little-endian fields of a block, with every length checked.

/// Why a block was refused: the part that is missing or wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Takes fields from the front of a block.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// What has not been taken yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A u16 length and as many bytes.
    pub(crate) fn short_text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// A u32 length and as many bytes.
    pub(crate) fn long_text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("block is truncated"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("block is truncated"))?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Puts fields into a block from its front; fails instead of writing past its end.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) fn new(block: &'a mut [u8]) -> Self {
        Self { rest: block }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.place(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// The text with ASCII capitals made small: Ring's form of a header name.
    pub(crate) fn lower_case(&mut self, text: &[u8]) -> Result<(), Malformed> {
        let place = self.place(text.len())?;
        place.copy_from_slice(text);
        place.make_ascii_lowercase();
        Ok(())
    }

    fn place(&mut self, length: usize) -> Result<&'a mut [u8], Malformed> {
        let block = std::mem::take(&mut self.rest);
        let (place, rest) = block.split_at_mut_checked(length).ok_or(Malformed("block is too small"))?;
        self.rest = rest;
        Ok(place)
    }
}
