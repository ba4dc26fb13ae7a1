//! Deadlines without timers: each connection carries the moment at which it has waited too long, a sweeper looks at all of
//! them a few times per shortest timeout. Eight bytes a connection, and no work when a request comes and goes in time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::transport::{Presence, Transport};
use super::{Connection, State, kept_out};
use crate::application::{CloseCause, SocketEndKind};
use crate::clock::now_millis;
use crate::config::Timeouts;
use crate::http1::Rejection;
use crate::registry;
use crate::runtime::LONGEST_TICK;
use crate::websocket::CloseCode;

/// How long a client that was refused may take to close its side, or to send more.
const LINGER: Duration = Duration::from_secs(1);
/// How many times in a row it may send more: proxies send all of a request before they look at the answer.
const MOST_LINGERS: u8 = 30;
/// How long a client may take to read an answer after which the connection closes, before what it sends is missed.
const READING: Duration = Duration::from_secs(5);
/// How long the next piece of a stream may take whose client has closed its side: such a client may have left.
const SILENCE: Duration = Duration::from_secs(5);
/// How long the answers to the messages of a client that then broke the protocol are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long a client may take to answer our Close frame, or to take any of what was sent before it: with the sweeper's pause less than 5 seconds.
const CLOSE_GRACE: Duration = Duration::from_millis(4900).saturating_sub(LONGEST_TICK);
/// How long a server that stops waits for the rest of a head.
const LAST_HEAD: Duration = Duration::from_millis(500);
/// How often a client whose socket is not read is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Why a WebSocket is closed whose client has begun a message and sends nothing more.
const MESSAGE_TIMEOUT: &str = "The message was not received in time";

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// Room in the socket.
    Write,
    /// The client's close.
    Linger,
    /// The client's close, after an answer that it may still be reading.
    Reader,
    /// A sign of life on a WebSocket.
    Socket,
    /// The rest of a WebSocket's message.
    Message,
    /// The client's Close frame, after ours.
    Close,
    /// The answers to a client that broke the protocol.
    LastAnswers,
    /// The next piece of a stream, with a client that has closed its side.
    Silent,
    /// The application: it may take any time.
    Application,
    /// Likewise, and nothing more is read meanwhile, so that no read tells of a client that leaves.
    Unread,
}

impl Waiting {
    /// The moment at which this has lasted too long, if it begins now.
    pub(super) fn deadline(self, timeouts: &Timeouts) -> u64 {
        let timeout = match self {
            Self::Idle => timeouts.keep_alive,
            Self::Head => timeouts.header,
            Self::Body | Self::Message => timeouts.body,
            Self::Write => timeouts.write,
            Self::Linger => LINGER,
            Self::Reader => READING,
            Self::Close => CLOSE_GRACE,
            Self::Silent => SILENCE,
            Self::LastAnswers => LAST_ANSWERS,
            Self::Unread => LOOK_EVERY,
            Self::Application | Self::Socket => Duration::ZERO,
        };
        after(timeout)
    }
}

/// The moment so much later, never for zero.
fn after(timeout: Duration) -> u64 {
    if timeout.is_zero() { u64::MAX } else { now_millis().saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)) }
}

impl Connection {
    /// What the connection waits for now.
    #[inline]
    fn awaited(&self, state: &State) -> Waiting {
        if state.session.as_deref().is_some_and(|session| !session.is_open()) {
            Waiting::Close
        } else if !state.outbox.is_empty() {
            Waiting::Write
        } else if state.flags.lingering {
            // Whoever stops the server waits as well.
            if state.flags.long_answer && !self.server.is_draining() { Waiting::Reader } else { Waiting::Linger }
        } else if let Some(session) = &state.session {
            match session.ending {
                Some(_) => Waiting::LastAnswers,
                None if session.holds > 0 || state.flags.input_held_by.is_some() => Waiting::Unread,
                None if session.protocol.is_mid_message() && self.bounds_message(session) => Waiting::Message,
                None => Waiting::Socket,
            }
        } else if state.expects_body() {
            Waiting::Body
        } else if (state.flags.read_closed || state.flags.close_seen) && state.http.is_streaming() {
            Waiting::Silent
        } else if state.flags.input_held_by.is_some() || state.http.is_in_exchange() && !state.reads_ahead() {
            Waiting::Unread
        } else if state.http.is_in_exchange() {
            Waiting::Application
        } else if state.http.is_reading_body() {
            Waiting::Body
        } else if state.http.is_mid_request() || state.exchange == 0 {
            Waiting::Head
        } else {
            Waiting::Idle
        }
    }

    /// Sets the deadline after something happened. `progress`: bytes moved in the direction that is waited for.
    pub(super) fn update_deadline(&self, state: &mut State, progress: bool) {
        let waiting = self.awaited(state);
        // A head must be complete in time, however steadily its bytes drip in (slowloris); a body or a reader must only move.
        let renews = progress
            && match waiting {
                Waiting::Body | Waiting::Write | Waiting::Silent => true,
                // What the client sends is of no interest any more.
                Waiting::Close => state.outbox.written > 0 && !state.session.as_deref().is_some_and(|session| session.too_slow),
                Waiting::Message => state.session.as_deref_mut().is_some_and(|session| {
                    let heard = std::mem::take(&mut session.heard);
                    session.pinged &= !heard;
                    heard
                }),
                _ => false,
            };
        let idle_again = waiting == Waiting::Idle && progress;
        if waiting != state.waiting || renews || idle_again {
            state.waiting = waiting;
            if waiting == Waiting::Socket {
                let period = Duration::from_millis(u64::from(self.session_period(state)));
                self.deadline.store(after(period), Ordering::Relaxed);
                return;
            }
            self.deadline.store(waiting.deadline(&self.server.config.timeouts), Ordering::Relaxed);
            if self.server.is_draining() {
                self.hurry(state);
            }
        }
    }

    /// The server stops: the rest of a head is on its way, or never comes.
    pub(super) fn hurry(&self, state: &State) {
        if matches!(state.waiting, Waiting::Head | Waiting::Idle) {
            self.deadline.fetch_min(after(LAST_HEAD), Ordering::Relaxed);
        }
    }

    /// The sweeper found that the deadline has passed.
    fn expire(&self, now: u64) {
        // Whoever writes a file has the lock for as long as the disk takes: the next look comes soon, and others have deadlines too.
        let Some(state) = self.state.try_lock() else { return };
        let Some(mut state) = self.stop_owed(state) else { return };
        // It was set before the batch of requests of which the application may be running one.
        self.update_deadline(&mut state, false);
        if self.deadline.load(Ordering::Relaxed) <= now {
            match state.waiting {
                Waiting::Idle | Waiting::Head if !state.http.is_mid_request() && state.has_arrived() => {
                    self.deadline.store(after(LOOK_EVERY), Ordering::Relaxed);
                }
                Waiting::Linger
                    if state.flags.still_sends && state.flags.lingers < MOST_LINGERS && !self.server.is_draining() =>
                {
                    state.flags.still_sends = false;
                    state.flags.lingers += 1;
                    self.deadline.store(after(LINGER), Ordering::Relaxed);
                }
                Waiting::Body if state.http.is_receiving() => {
                    self.refuse_body(&mut state, Rejection::TIMEOUT, CloseCause::Timeout);
                }
                Waiting::Head | Waiting::Body if state.http.is_mid_request() => self.reject(&mut state, Rejection::TIMEOUT),
                Waiting::Write => self.abort_unless_written(&mut state, now),
                Waiting::Close if !state.outbox.is_empty() => self.abort_unless_written(&mut state, now),
                Waiting::Silent => self.abort(&mut state, CloseCause::Client),
                Waiting::Socket => return self.session_expired(state),
                Waiting::Message => {
                    let (kind, code) = (SocketEndKind::Idle, CloseCode::POLICY_VIOLATION);
                    self.close_session(&mut state, kind, code, MESSAGE_TIMEOUT.to_owned());
                    self.written(state);
                    return;
                }
                Waiting::Idle | Waiting::Head | Waiting::Body | Waiting::Linger | Waiting::Reader | Waiting::Close => {
                    self.end(&mut state, CloseCause::Timeout);
                }
                Waiting::LastAnswers => {
                    if let Some(session) = state.session.as_deref_mut() {
                        session.holds = 0;
                    }
                }
                Waiting::Unread => return self.look_for_client(state),
                Waiting::Application => {}
            }
            state.handover.want(true);
        }
        self.release(state);
    }

    /// A socket says that it takes more when a third of its buffer, which may be megabytes, is free: a slow reader may need longer for so much
    /// than its deadline allows. It takes more as soon as anything is free.
    fn abort_unless_written(&self, state: &mut State, now: u64) {
        let written = state.transport.as_ref().map(|transport| state.outbox.write_at_once(transport));
        if matches!(written, Some(Ok(true))) {
            self.wrote(state);
        }
        if self.deadline.load(Ordering::Relaxed) <= now {
            self.abort(state, CloseCause::Timeout);
        }
    }

    /// Ends the connection of a client that has gone behind input that is not read. One that has only closed its side may wait for its
    /// answer, and what a WebSocket's client sent before that is still to be delivered.
    fn look_for_client(&self, mut state: MutexGuard<'_, State>) {
        let presence = state.transport.as_ref().map_or(Presence::Gone, Transport::presence);
        state.flags.close_seen |= presence == Presence::Finished;
        if presence == Presence::Gone || state.flags.close_seen && state.needs_client() {
            self.abort(&mut state, CloseCause::Client);
        } else if state.flags.close_seen && state.http.is_streaming() {
            self.update_deadline(&mut state, false);
        } else {
            self.deadline.store(Waiting::Unread.deadline(&self.server.config.timeouts), Ordering::Relaxed);
        }
        self.release(state);
    }
}

/// Looks at every connection of the process.
pub(crate) fn sweep() {
    kept_out::let_in();
    let now = now_millis();
    for connection in registry::collect(|connection| connection.deadline.load(Ordering::Relaxed) <= now || connection.owes_stop())
    {
        connection.expire(now);
    }
}
