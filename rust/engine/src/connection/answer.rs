//! Answers: whatever thread has one takes the lock, encodes it and writes it to the socket itself. A hand-over to the connection's task
//! would cost more than the request (docs/adr/0003-dispatch.md).

use std::fs::File;

use parking_lot::MutexGuard;

use super::outbox::{Bulk, Flushed, WINDOW};
use super::transport::Transport;
use super::{Connection, State};
use crate::application::CloseCause;
use crate::exchange::{BodySource, Sent};
use crate::http1::{Framed, Headers, InvalidHead, Next, ResponseHead, ResponseStyle};
use crate::remote_address::Address;
use crate::{date, dispatch};

/// Up to this length an answer leaves at once: it is about the initial window of a TCP connection (RFC 6928).
const LONG_ANSWER: u64 = 16 * 1024;

impl Connection {
    /// The state, if that exchange waits for an answer of which nothing has been sent.
    pub(super) fn unanswered(&self, number: u32) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        (state.exchange == number && state.http.is_in_exchange() && !state.http.is_streaming()).then_some(state)
    }

    pub(crate) fn respond<'h, H: Headers<'h>>(
        &self,
        number: u32,
        head: ResponseHead<H>,
        body: &[u8],
    ) -> Result<Sent, InvalidHead> {
        let Some(mut guard) = self.unanswered(number) else { return Ok(Sent::NotOpen) };
        let state = &mut *guard;
        if self.encode_whole(state, head, body.len() as u64)? {
            let transport = state.transport.as_ref().filter(|_| !state.flags.corked);
            if state.outbox.push(transport, body, b"").is_err() {
                self.abort(state, CloseCause::Client);
                self.release(guard);
                return Ok(Sent::NotOpen);
            }
        }
        Ok(self.complete(guard))
    }

    pub(crate) fn respond_source<'h, H: Headers<'h>>(
        &self,
        number: u32,
        head: ResponseHead<H>,
        source: Box<dyn BodySource>,
    ) -> Result<Sent, InvalidHead> {
        let Some(mut state) = self.unanswered(number) else { return Ok(Sent::NotOpen) };
        if self.encode_whole(&mut state, head, source.remaining())? && source.remaining() > 0 {
            state.outbox.set_bulk(Bulk::Source(source));
        }
        Ok(self.complete(state))
    }

    pub(crate) fn respond_file<'h, H: Headers<'h>>(
        &self,
        number: u32,
        head: ResponseHead<H>,
        file: File,
        length: u64,
    ) -> Result<Sent, InvalidHead> {
        let Some(mut state) = self.unanswered(number) else { return Ok(Sent::NotOpen) };
        if self.encode_whole(&mut state, head, length)? && length > 0 {
            state.outbox.set_bulk(Bulk::File { file, offset: 0, remaining: length });
        }
        Ok(self.complete(state))
    }

    /// Encodes the head of a complete answer. True if its body is to follow.
    fn encode_whole<'h, H: Headers<'h>>(
        &self,
        state: &mut State,
        head: ResponseHead<H>,
        length: u64,
    ) -> Result<bool, InvalidHead> {
        let date = date::now();
        let style = self.style(!self.server.is_draining(), &date);
        let out = state.outbox.buffer();
        let has_body = state.http.answer(out, head, length, style)?;
        state.flags.long_answer |= has_body && length > LONG_ANSWER;
        Ok(has_body)
    }

    pub(crate) fn start<'h, H: Headers<'h>>(&self, number: u32, head: ResponseHead<H>) -> Result<Sent, InvalidHead> {
        let Some(mut guard) = self.unanswered(number) else { return Ok(Sent::NotOpen) };
        let state = &mut *guard;
        let date = date::now();
        let style = self.style(!self.server.is_draining(), &date);
        let out = state.outbox.buffer();
        state.http.start(out, head, style)?;
        state.flags.long_answer = true;
        Ok(self.written(guard))
    }

    pub(crate) fn send(&self, number: u32, bytes: &[u8], finish: bool) -> Sent {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.exchange != number || !state.http.is_streaming() {
            return Sent::NotOpen;
        }
        if self.is_too_slow(state) {
            self.abort(state, CloseCause::Timeout);
            self.release(guard);
            return Sent::NotOpen;
        }
        let out = state.outbox.buffer();
        let failure = match state.http.frame_piece(bytes.len(), out, finish) {
            Framed::Sent(suffix) => {
                let transport = state.transport.as_ref().filter(|_| !state.flags.corked);
                state.outbox.push(transport, bytes, suffix).is_err().then_some(CloseCause::Client)
            }
            Framed::Swallowed => None,
            Framed::Mismatch => Some(CloseCause::Server),
        };
        if let Some(cause) = failure {
            self.abort(state, cause);
            self.release(guard);
            return Sent::NotOpen;
        }
        if finish { self.complete(guard) } else { self.written(guard) }
    }

    /// More waits for the client than the server keeps for one, or more than the window while all together have too much.
    pub(super) fn is_too_slow(&self, state: &State) -> bool {
        let (one, all) = (self.server.config.max_pending as usize, self.server.config.max_pending_total);
        let waiting = state.outbox.buffered();
        one > 0 && waiting > one || all > 0 && waiting > WINDOW && self.server.pending() > all
    }

    /// From now on a client that has closed its side counts as gone. False if the exchange is over, or the client has gone before.
    pub(crate) fn watch(&self, number: u32) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.exchange != number || !state.http.is_in_exchange() {
            return false;
        }
        if state.flags.read_closed {
            self.end(state, CloseCause::Client);
            self.release(guard);
            return false;
        }
        state.flags.watched = true;
        true
    }

    pub(crate) fn abort_exchange(&self, number: u32) {
        let mut state = self.state.lock();
        if state.exchange == number && (state.http.is_in_exchange() || state.session.is_some()) {
            if state.http.is_until_close() || state.session.is_some() {
                self.abort(&mut state, CloseCause::Server);
            } else {
                self.end_exchange(&mut state);
            }
        }
        self.release(state);
    }

    /// Closes behind what was sent, which a reset would destroy on its way: the framing of a stream says that something is missing, and
    /// behind earlier answers nothing looks like one to this request.
    fn end_exchange(&self, state: &mut State) {
        state.notices.closed = Some(CloseCause::Server);
        state.addresses.get_or_insert_default().local = state.transport.as_ref().and_then(Transport::local_address);
        state.http.close();
        state.drop_body();
        state.flags.linger_wanted = true;
        state.flags.corked = false;
        state.handover.want(true);
        self.flush(state);
    }

    /// The exchange is over: flush, and let the connection go on.
    fn complete(&self, mut guard: MutexGuard<'_, State>) -> Sent {
        let state = &mut *guard;
        state.flags.linger_wanted |= state.http.is_receiving();
        state.drop_body();
        if state.http.complete() == Next::Close {
            // Whoever stops the server waits for the request, not for its client.
            let may_go_on = state.http.may_go_on() && !self.server.is_draining();
            state.flags.linger_wanted |= !state.input.is_empty();
            state.flags.lingers_for_more = may_go_on && !state.flags.linger_wanted && !state.flags.long_answer;
            state.flags.corked = false;
            state.handover.want(true);
        }
        state.handover.want(state.flags.unread_input || state.flags.read_closed);
        self.written(guard)
    }

    /// Something was put into the outbox.
    pub(super) fn written(&self, mut guard: MutexGuard<'_, State>) -> Sent {
        let state = &mut *guard;
        let goes_on = state.http.is_streaming() || state.session.is_some();
        // A body is moved outside of the call that gives it: its time is not the handler's, and would send the route to the pool.
        let is_later = state.flags.corked || state.outbox.has_bulk() && dispatch::get().is_calling_for(self.id);
        if is_later {
            // Unless another task has taken the connection over, there being no spare for the call.
            state.handover.want(true);
        } else {
            let flushed = self.flush(state);
            state.handover.want(flushed != Flushed::All);
        }
        let sent = if goes_on && state.transport.is_none() {
            Sent::NotOpen
        } else if state.outbox.buffered() > WINDOW {
            state.flags.full = goes_on;
            Sent::Full
        } else {
            Sent::Accepted
        };
        if !is_later {
            // Else the task, which is about to come back from the application, does it once for all the answers.
            let progress = state.outbox.written > 0;
            self.update_deadline(state, progress);
        }
        self.release(guard);
        sent
    }

    /// What goes into a head beside the application's fields.
    pub(super) fn style<'a>(&'a self, keep_alive: bool, date: &'a [u8]) -> ResponseStyle<'a> {
        ResponseStyle { http11: true, keep_alive, server: self.server.config.server_header.as_deref(), date }
    }

    pub(crate) fn local_address(&self) -> Option<Address> {
        let state = self.state.lock();
        state.transport.as_ref().and_then(Transport::local_address).or_else(|| state.addresses.as_deref()?.local)
    }

    pub(crate) fn peer_address(&self) -> Address {
        self.state.lock().peer
    }
}
