//! The body of a request whose handler reads it while it arrives. Between the socket and the handler there is never more than a window.

use super::outbox::WINDOW;
use super::{Connection, State};
use crate::application::CloseCause;
use crate::exchange::BodyPiece;
use crate::http1::Rejection;

/// What has arrived of a body and was not asked for yet.
#[derive(Debug)]
pub(super) struct Streamed {
    bytes: Vec<u8>,
    /// The application was told to wait.
    asked: bool,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
}

impl Streamed {
    pub(super) fn new(awaits_continue: bool) -> Self {
        Self { bytes: Vec::new(), asked: false, awaits_continue }
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= WINDOW
    }
}

impl State {
    /// Whether the client is to send more of a body. It is not before it was told so, if it waits for that.
    pub(super) fn expects_body(&self) -> bool {
        self.wants_body() && self.streamed.as_deref().is_some_and(|streamed| !streamed.awaits_continue)
    }

    /// Whether there is room for more of a body.
    pub(super) fn wants_body(&self) -> bool {
        self.http.is_receiving() && self.streamed.as_deref().is_some_and(|streamed| !streamed.is_full())
    }

    /// The whole body, if it came with its head after all.
    pub(super) fn whole_body(&mut self) -> Option<Vec<u8>> {
        let streamed = self.streamed.take_if(|_| !self.http.is_receiving())?;
        Some(streamed.bytes)
    }

    /// The body belongs to nobody any more; whoever waits for it is told.
    pub(super) fn drop_body(&mut self) {
        if let Some(streamed) = self.streamed.take() {
            self.notices.readable |= streamed.asked;
        }
    }
}

impl Connection {
    /// Takes what is part of a body that is read during its exchange. Returns how much that is.
    pub(super) fn receive_body(&self, state: &mut State, received: &[u8]) -> Result<usize, Rejection> {
        let Some(streamed) = state.streamed.as_deref_mut() else { return Ok(0) };
        let consumed = state.http.receive_body(received, &mut streamed.bytes, &self.server.config.limits)?;
        if consumed > 0 {
            streamed.awaits_continue = false;
            state.notices.readable |= std::mem::take(&mut streamed.asked);
        }
        Ok(consumed)
    }

    /// The rest of a body cannot be had. The client is told, unless it has been told something else; the handler reads no further.
    pub(super) fn refuse_body(&self, state: &mut State, rejection: Rejection, cause: CloseCause) {
        if state.http.is_streaming() {
            self.abort(state, cause);
        } else {
            state.notices.closed = Some(cause);
            self.reject(state, rejection);
        }
    }

    /// What has arrived of the body since the last call.
    pub(crate) fn receive(&self, number: u32) -> BodyPiece {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(streamed) = state.streamed.as_deref_mut().filter(|_| state.exchange == number) else { return BodyPiece::Lost };
        if !streamed.bytes.is_empty() {
            state.handover.want(streamed.is_full());
            let bytes = std::mem::take(&mut streamed.bytes);
            self.update_deadline(state, false);
            self.release(guard);
            return BodyPiece::Bytes(bytes);
        }
        if !state.http.is_receiving() {
            return BodyPiece::End;
        }
        streamed.asked = true;
        if std::mem::take(&mut streamed.awaits_continue) {
            if !state.http.is_streaming() {
                self.send_continue(state);
            }
            self.update_deadline(state, false);
        }
        self.release(guard);
        BodyPiece::Later
    }
}
