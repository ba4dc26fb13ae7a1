//! A request handed out before its body is complete ([`Limits::stream_above`]): the body is read during the exchange.

use super::machine::{Http1, Limits};
use super::rejection::Rejection;

impl Http1 {
    /// True while the rest of the current request's body is expected.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.is_in_exchange() && self.streamed.is_some()
    }

    /// Decodes what there is of the current request's body, appends it to `body`. Returns the bytes consumed, 0 unless
    /// [`Http1::is_receiving`]; bytes behind the body are left.
    ///
    /// # Errors
    /// A [`Rejection`]: the body cannot be completed. Nothing more is read.
    pub fn receive_body(&mut self, input: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<usize, Rejection> {
        let Some(decoder) = self.streamed.as_deref_mut().filter(|_| !input.is_empty()) else { return Ok(0) };
        match decoder.decode(input, body, limits) {
            Ok((consumed, complete)) => {
                if complete {
                    self.streamed = None;
                }
                Ok(consumed)
            }
            Err(rejection) => Err(Rejection { head: self.current.head, ..rejection }),
        }
    }
}
