//! What bodies and messages that are not complete hold: for each there is a limit of its own, and one for all clients of a server
//! together. What arrives in one read is not kept here, and costs nothing.

use super::body::Streamed;
use super::outbox::WINDOW;
use super::{Connection, State};
use crate::application::SocketEndKind;
use crate::http1::Rejection;
use crate::websocket::CloseCode;

/// Why a message that would need more memory than there is is refused.
pub(super) const NO_ROOM: &str = "The server has no room for the message";

impl State {
    /// Bytes of memory held for what is not complete.
    fn received(&self) -> usize {
        self.http.held()
            + self.streamed.as_deref().map_or(0, Streamed::held)
            + self.session.as_deref().map_or(0, |session| session.protocol.held())
    }

    /// Bytes that have come of the body or message that is collected: its buffer has room for up to twice as many.
    fn collected(&self) -> usize {
        self.session.as_deref().map_or_else(|| self.http.collected(), |session| session.protocol.collected())
    }

    /// By how much [`State::received`] has changed since this was last asked.
    pub(super) fn received_change(&mut self) -> i64 {
        let held = self.received();
        let before = std::mem::replace(&mut self.received, u32::try_from(held).unwrap_or(u32::MAX));
        i64::from(self.received) - i64::from(before)
    }
}

impl Connection {
    /// Refuses the body or message of a client that is longer than the window while all together hold too much.
    pub(super) fn bound_received(&self, state: &mut State) {
        let (held, most) = (state.received(), self.server.config.max_received_total);
        if most == 0
            || state.collected() <= WINDOW
            || self.server.received() + held.saturating_sub(state.received as usize) as u64 <= most
        {
            return;
        }
        if state.session.is_some() {
            self.close_session(state, SocketEndKind::Overload, CloseCode::TRY_AGAIN_LATER, NO_ROOM.to_owned());
        } else {
            self.reject(state, Rejection::NO_ROOM);
        }
    }
}
