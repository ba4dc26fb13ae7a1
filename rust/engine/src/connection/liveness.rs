//! Whether the client of an open WebSocket is still there: silence is answered by a ping, or ends the connection.

use parking_lot::MutexGuard;

use super::deadline::Waiting;
use super::session::Session;
use super::{Connection, State};
use crate::application::{CloseCause, SocketEnd, SocketEndKind};
use crate::websocket::{CloseCode, Opcode, push_frame};

/// Jetty's reason, which `ring-jetty-ws` applications know.
const IDLE_TIMEOUT: &str = "Idle Timeout";

impl Connection {
    /// The length of the current wait of an open WebSocket in milliseconds, 0 for none.
    pub(super) fn session_period(&self, state: &mut State) -> u32 {
        let Some(session) = state.session.as_deref_mut() else { return 0 };
        // A pong that came before the wait was for something else, as a socket with room, counts.
        session.pinged &= !std::mem::take(&mut session.heard);
        (session.spoke, session.talked) = (false, false);
        self.silence(session)
    }

    /// Whether silence is answered by a ping, whose pong is a sign of life: not where an idle WebSocket is closed before.
    fn pings(&self, session: &Session) -> bool {
        let interval = self.server.config.ping_interval_millis;
        interval > 0 && (session.idle_millis == 0 || interval < session.idle_millis)
    }

    /// After so many milliseconds without a sign of life something happens, 0 for never.
    fn silence(&self, session: &Session) -> u32 {
        if self.pings(session) { self.server.config.ping_interval_millis } else { session.idle_millis }
    }

    /// Whether a message that does not go on has a deadline of its own: not where silence has an earlier one.
    pub(super) fn bounds_message(&self, session: &Session) -> bool {
        let silence = self.silence(session);
        let limit = self.server.config.timeouts.body.as_millis();
        limit > 0 && (silence == 0 || limit <= u128::from(silence))
    }

    /// The deadline of an open WebSocket has passed: it is closed for being idle, or asked whether it is still there.
    pub(super) fn session_expired(&self, mut guard: MutexGuard<'_, State>) {
        let state = &mut *guard;
        let Some(session) = state.open_session() else {
            self.release(guard);
            return;
        };
        if !self.pings(session) {
            if !session.heard && !session.spoke {
                self.close_session(state, SocketEndKind::Idle, CloseCode::GOING_AWAY, IDLE_TIMEOUT.to_owned());
            }
        } else if session.talked || session.heard && !session.pinged {
            session.pinged = false;
        } else if session.pinged && !session.heard {
            session.told = true;
            let reason = IDLE_TIMEOUT.to_owned();
            state.notices.socket_end =
                Some(Box::new(SocketEnd { kind: SocketEndKind::Idle, code: CloseCode::GOING_AWAY.0, reason }));
            self.abort(state, CloseCause::Timeout);
        } else {
            // Also after a mere pong: a proxy in between counts from the last byte, too.
            (session.pinged, session.heard) = (true, false);
            push_frame(state.outbox.buffer(), Opcode::Ping, b"");
        }
        // Armed again by `written`, whatever it waits for now.
        state.waiting = Waiting::Application;
        self.written(guard);
    }
}
