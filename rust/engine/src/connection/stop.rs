//! How a connection ends with its server.

use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::MutexGuard;

use super::{Connection, State};
use crate::application::{CloseCause, SocketEndKind};
use crate::websocket::CloseCode;

/// What a server that stops wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stop {
    /// It ends with its current exchange.
    Drain = 1,
    /// It ends.
    Cut = 2,
}

impl Connection {
    /// Does it now, or else when the sweeper finds the lock free: whoever writes a file has it for as long as the disk takes, and a disk may
    /// hang. `until`: how long to wait for what has the lock for a moment.
    pub(crate) fn stop(&self, stop: Stop, until: Instant) {
        match self.state.try_lock_until(until) {
            Some(state) => self.stop_locked(state, stop as u8),
            None => drop(self.owed.fetch_max(stop as u8, Ordering::Relaxed)),
        }
    }

    /// True if the stop of the server is owed something.
    pub(super) fn owes_stop(&self) -> bool {
        self.owed.load(Ordering::Relaxed) != 0
    }

    /// Does what is owed. Gives the lock back if that is nothing.
    pub(super) fn stop_owed<'a>(&'a self, state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        match self.owed.swap(0, Ordering::Relaxed) {
            0 => return Some(state),
            owed => self.stop_locked(state, owed),
        }
        None
    }

    fn stop_locked(&self, state: MutexGuard<'_, State>, stop: u8) {
        if stop == Stop::Cut as u8 { self.cut(state) } else { self.drain(state) }
    }

    /// The server drains: an idle connection ends now, any other after its current exchange.
    fn drain(&self, mut state: MutexGuard<'_, State>) {
        if state.session.is_some() {
            self.close_session(&mut state, SocketEndKind::Server, CloseCode::GOING_AWAY, String::new());
            self.written(state);
            return;
        }
        if state.http.is_in_exchange() || state.http.is_mid_request() || !state.outbox.is_empty() {
            state.http.close_after_exchange();
            self.hurry(&state);
        } else if state.has_arrived() {
            // Its task reads it, and ends with the answer.
            self.hurry(&state);
        } else if !state.http.is_closed() || state.flags.lingering && state.flags.lingers_for_more {
            self.end(&mut state, CloseCause::Server);
        } else if state.flags.lingering {
            self.update_deadline(&mut state, false);
        }
        // Else its last word is not written yet: its task ends it.
        self.release(state);
    }

    /// The server ends, and with it the connection. A reset destroys what the client has not read yet: only where a clean end would make an
    /// answer look complete.
    fn cut(&self, mut state: MutexGuard<'_, State>) {
        self.flush(&mut state);
        let is_cut = state.http.is_in_exchange() || !state.outbox.is_empty();
        if is_cut && state.http.is_until_close() {
            self.abort(&mut state, CloseCause::Server);
        } else {
            self.end(&mut state, CloseCause::Server);
        }
        self.release(state);
    }
}
