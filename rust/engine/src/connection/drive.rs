//! The task of a connection: it waits for the socket, and gives what arrives to whom it is for: the request in progress, the next ones, or
//! the WebSocket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::MutexGuard;
use tokio::io::ReadBuf;

use super::kept_out::KeptOut;
use super::outbox::Flushed;
use super::transport::Transport;
use super::{Connection, State};
use crate::application::CloseCause;
use crate::buffers::with_read_buffer;
use crate::stats::Counter;

/// Input kept behind a request in progress; beyond it the socket is not read (http-kit's figure).
const READ_AHEAD: usize = 64 * 1024;
/// Reads in one poll before other connections have their turn.
const TURNS: usize = 16;

/// Drives one connection to its end, or until another task is made to drive it instead.
#[derive(Debug)]
pub(crate) struct Drive {
    connection: Arc<Connection>,
    /// `State::driver` when this was made; once they differ this has nothing more to do.
    number: u32,
    kept_out: KeptOut,
}

impl Drive {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        let number = connection.state.lock().driver;
        Self { connection, number, kept_out: KeptOut::default() }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { connection, number, kept_out } = &mut *self;
        let Some(mut state) = kept_out.lock(connection, context.waker()) else { return Poll::Pending };
        if state.driver != *number {
            return Poll::Ready(());
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        state.handover.begin();
        let result = connection.drive(&mut state, context);
        if state.driver == *number {
            state.handover.end();
            if result.is_ready() {
                state.waker = None;
            }
        }
        connection.release(state);
        result
    }
}

impl Drop for Drive {
    /// Also reached when a panic unwinds through the task: the connection is given back all the same.
    fn drop(&mut self) {
        let mut state = self.connection.state.lock();
        if state.driver == self.number {
            state.handover.end();
            state.waker = None;
        } else if state.flags.input_held_by != Some(self.number) {
            return;
        }
        // Else the input that was with this task is lost, and another would wait for it.
        self.connection.abort(&mut state, CloseCause::Server);
        self.connection.release(state);
    }
}

impl State {
    /// Whether the socket is read while a request waits for its answer.
    pub(super) fn reads_ahead(&self) -> bool {
        let has_room = if self.http.is_receiving() { self.wants_body() } else { self.input.len() < READ_AHEAD };
        has_room && !self.flags.read_closed
    }

    /// Whether something has come between two requests that has not been looked at: the machine may have slept meanwhile, or a call that
    /// goes on has it.
    pub(super) fn has_arrived(&self) -> bool {
        if self.flags.lingering || self.http.is_closed() {
            return false;
        }
        self.flags.unread_input || self.flags.input_held_by.is_some() || self.transport.as_ref().is_some_and(Transport::has_input)
    }

    /// Whether the exchange is over once the client has closed its side.
    pub(super) fn needs_client(&self) -> bool {
        self.flags.watched && self.http.is_in_exchange()
    }
}

impl Connection {
    fn drive(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, context: &mut Context<'_>) -> Poll<()> {
        let driver = state.driver;
        for _ in 0..TURNS {
            if state.driver != driver {
                return Poll::Ready(());
            }
            let flushed = self.flush(state);
            if state.transport.is_none() {
                return Poll::Ready(());
            }
            match flushed {
                Flushed::All => {}
                Flushed::Yielded => break,
                // Readiness may be stale once: the next try clears it.
                Flushed::Blocked => match state.transport.as_ref().map(|transport| transport.poll_write_ready(context)) {
                    Some(Poll::Ready(Ok(()))) => continue,
                    Some(Poll::Pending) => {}
                    Some(Poll::Ready(Err(_))) | None => {
                        self.abort(state, CloseCause::Client);
                        return Poll::Ready(());
                    }
                },
            }
            if flushed == Flushed::All && self.is_finished(state) {
                return Poll::Ready(());
            }
            if !self.wants_input(state, flushed) {
                return Poll::Pending;
            }
            if state.flags.unread_input && !state.http.is_in_exchange() {
                self.take_input(state, &mut []);
                continue;
            }
            if self.poll_input(state, context).is_pending() {
                return Poll::Pending;
            }
        }
        if state.driver != driver {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Everything is written: closes if nothing more is to be read. True once the connection has ended.
    fn is_finished(&self, state: &mut State) -> bool {
        if state.session.is_some() {
            return false;
        }
        let idle = !state.http.is_in_exchange() && !state.flags.unread_input && state.flags.input_held_by.is_none();
        // `drain` found an answer on its way here, or a request, and left the end to us.
        if idle && self.server.is_draining() && !state.http.is_mid_request() && !state.has_arrived() {
            state.http.close();
        }
        if state.http.is_closed() && !state.flags.lingering {
            let lingers = state.flags.linger_wanted || state.flags.lingers_for_more || state.flags.long_answer;
            let may_send = lingers && !state.flags.read_closed;
            if !may_send {
                self.end(state, CloseCause::Server);
                return true;
            }
            // RFC 9112 section 9.6: closing with input unread or yet to come would reset the connection and destroy the answer on its way.
            state.flags.lingering = true;
            state.input = Vec::new();
            if let Some(transport) = &state.transport {
                transport.shutdown_write();
            }
            self.update_deadline(state, true);
        }
        if state.flags.read_closed && idle {
            self.end(state, CloseCause::Client);
            return true;
        }
        false
    }

    /// Whether to read at all. A client that does not take its answers gets no further requests in.
    fn wants_input(&self, state: &State, flushed: Flushed) -> bool {
        if state.flags.input_held_by.is_some() {
            return false;
        }
        if state.http.is_in_exchange() {
            return state.reads_ahead();
        }
        if state.session.is_some() {
            return Self::wants_frames(state);
        }
        flushed == Flushed::All
    }

    fn poll_input(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, context: &mut Context<'_>) -> Poll<()> {
        with_read_buffer(|buffer| {
            let mut piece = ReadBuf::new(buffer);
            let Some(transport) = &mut state.transport else { return Poll::Ready(()) };
            match transport.poll_read(context, &mut piece) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {}
                Poll::Ready(Ok(())) => {
                    self.input_ended(state);
                    return Poll::Ready(());
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return Poll::Ready(()),
                Poll::Ready(Err(_)) => {
                    self.abort(state, CloseCause::Client);
                    return Poll::Ready(());
                }
            }
            self.server.stats.add(Counter::BytesIn, piece.filled().len() as u64);
            if state.flags.lingering {
                state.flags.still_sends = true;
                return Poll::Ready(());
            }
            self.take_input(state, piece.filled_mut());
            Poll::Ready(())
        })
    }

    /// The client has closed its side. A request it sent in full still gets its answer (http-kit loses it); what is watched does not
    /// go on for a client that has gone, which is how the end of an event stream is noticed.
    fn input_ended(&self, state: &mut State) {
        state.flags.read_closed = true;
        if state.session.is_some() {
            self.end(state, CloseCause::Client);
            return;
        }
        let is_over = state.needs_client() || state.http.is_receiving() || state.flags.lingering;
        if is_over || !(state.http.is_in_exchange() || state.flags.unread_input) {
            // A reset would destroy the answer to an earlier request on its way.
            if state.outbox.is_empty() && !state.http.is_streaming() {
                self.end(state, CloseCause::Client);
            } else {
                self.abort(state, CloseCause::Client);
            }
            return;
        }
        if !state.flags.unread_input {
            state.http.close_after_exchange();
        }
        self.update_deadline(state, false);
    }

    /// Bytes have arrived, or (with no new ones) those kept back may be looked at now.
    fn take_input(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, received: &mut [u8]) {
        if state.session.is_some() {
            self.take_frames(state, received);
            return;
        }
        if state.http.is_in_exchange() {
            let rest = match self.receive_body(state, received) {
                Ok(taken) => &received[taken..],
                Err(rejection) => {
                    self.refuse_body(state, rejection, CloseCause::Client);
                    &[]
                }
            };
            if !rest.is_empty() {
                state.input.extend_from_slice(rest);
                state.flags.unread_input = true;
            }
        } else if state.input.is_empty() {
            let driver = state.driver;
            let consumed = self.process(state, received);
            self.keep(state, driver, &received[consumed..]);
        } else {
            let driver = state.driver;
            let mut input = std::mem::take(&mut state.input);
            input.extend_from_slice(received);
            let consumed = self.process(state, &input);
            if consumed == 0 && state.driver == driver && state.transport.is_some() {
                state.input = input;
            } else {
                self.keep(state, driver, &input[consumed..]);
            }
        }
        if state.http.is_reading_body() {
            self.bound_received(state);
        }
        self.update_deadline(state, !received.is_empty());
    }

    /// Keeps what was not consumed, in front of what another task may have read meanwhile. That task, if there is one, was told not to read on
    /// while part of the input was here.
    pub(super) fn keep(&self, state: &mut State, driver: u32, rest: &[u8]) {
        if state.transport.is_some() && !rest.is_empty() {
            let newer = std::mem::replace(&mut state.input, rest.to_vec());
            state.input.extend_from_slice(&newer);
        }
        if state.driver == driver {
            state.flags.corked = false;
        } else if state.flags.input_held_by == Some(driver) {
            state.flags.input_held_by = None;
            state.flags.unread_input = !state.input.is_empty();
            state.handover.want(true);
        }
    }
}
