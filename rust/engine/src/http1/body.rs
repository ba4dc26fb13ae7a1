//! A body that did not arrive together with its head: collected here, growing with the bytes received, never with the bytes declared.

use super::chunked::Chunked;
use super::machine::Limits;
use super::rejection::Rejection;
use crate::growth::reserve;

/// The first allocation for a body: 500 clients that declare 8 MB and send 50 bytes hold 2 MB.
pub(super) const LEAST: usize = 4 * 1024;

#[derive(Debug)]
pub(super) enum BodyDecoder {
    Length { remaining: u64 },
    Chunked(Chunked),
}

impl BodyDecoder {
    /// Decodes what there is into `body`. Returns the bytes consumed and whether the body is complete.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<(usize, bool), Rejection> {
        match self {
            Self::Chunked(chunked) => chunked.decode(input, body, limits),
            Self::Length { remaining } => {
                let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
                let declared = usize::try_from(*remaining).map_or(usize::MAX, |left| body.len().saturating_add(left));
                if !reserve(body, take, LEAST, declared) {
                    return Err(Rejection::NO_ROOM);
                }
                body.extend_from_slice(&input[..take]);
                *remaining -= take as u64;
                Ok((take, *remaining == 0))
            }
        }
    }
}
