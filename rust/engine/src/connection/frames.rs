//! Frames of a WebSocket on their way in: decoded under the connection's lock, handed to the application without it.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::outbox::LOW_WATER;
use super::requests::AbortOnPanic;
use super::{Connection, State};
use crate::application::{Flow, Message, MessageKind};
use crate::clock::now_nanos;
use crate::dispatch;
use crate::exchange::Exchange;
use crate::stats::Counter;
use crate::websocket::{Closed, Event, Received};

impl Connection {
    /// Whether frames are read: not while the application has enough of them, nor while the client does not take its answers.
    pub(super) fn wants_frames(state: &State) -> bool {
        let held = state.session.as_deref().is_some_and(|session| session.holds > 0);
        !held && state.outbox.buffered() <= LOW_WATER
    }

    /// Bytes have arrived, or those kept back may be looked at now.
    pub(super) fn take_frames(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, received: &mut [u8]) {
        let driver = state.driver;
        if let Some(session) = state.session.as_deref_mut() {
            session.heard |= !received.is_empty();
        }
        if state.input.is_empty() {
            let consumed = self.process_frames(state, received);
            self.keep(state, driver, &received[consumed..]);
        } else {
            let mut input = std::mem::take(&mut state.input);
            input.extend_from_slice(received);
            let consumed = self.process_frames(state, &mut input);
            self.keep(state, driver, &input[consumed..]);
        }
        self.bound_received(state);
        self.update_deadline(state, !received.is_empty());
    }

    /// Hands the messages in `input` to the application, one after the other. Returns how much of it is done with.
    fn process_frames(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, input: &mut [u8]) -> usize {
        let (mut position, length, driver) = (0, input.len(), state.driver);
        state.flags.unread_input = false;
        if self.fail_session(state) {
            return length;
        }
        while position < length && state.session.is_some() {
            if state.outbox.buffered() > LOW_WATER {
                self.flush(state);
            }
            if !Self::wants_frames(state) {
                state.flags.unread_input = true;
                return position;
            }
            // The flush may have found the client gone.
            let Some(session) = state.session.as_deref_mut() else { break };
            let own_pong = session.own_pong;
            let Received { consumed, event } = session.protocol.receive(&mut input[position..]);
            position += consumed;
            let more = position < length;
            session.talked |= !matches!(event, None | Some(Event::Pong(_)));
            match event {
                None => {}
                Some(Event::Text(text)) => self.deliver(state, MessageKind::Text, &text, more),
                Some(Event::Binary(bytes)) => self.deliver(state, MessageKind::Binary, &bytes, more),
                Some(Event::Pong(payload)) => self.deliver(state, MessageKind::Pong, &payload, more),
                Some(Event::Ping(payload)) => {
                    if !own_pong {
                        Self::pong(state, &payload);
                    }
                    self.deliver(state, MessageKind::Ping, &payload, more);
                }
                Some(Event::Closed(closed)) => {
                    if closed.violation.is_some() && closed.reply.is_some() {
                        self.broken(state, closed);
                    } else {
                        self.session_closed(state, *closed);
                    }
                    return length;
                }
            }
            if state.driver != driver {
                return position;
            }
        }
        // What follows the end of a WebSocket is nobody's.
        if state.session.is_some() { position } else { length }
    }

    /// The client broke the protocol. What it sent before was in order: its answers go out first, if the application has them soon.
    fn broken(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, closed: Box<Closed>) {
        let Some(session) = state.session.as_deref_mut() else { return };
        session.ending = Some(closed);
        let route = session.route;
        let message =
            Message { kind: MessageKind::Broken, payload: b"", in_place: false, route, number: Self::next_message(state) };
        let exchange = Exchange { connection: self, number: state.exchange };
        let flow = self.unlocked(state, || self.server.application.message(&exchange, &message));
        state.hold(flow);
        state.flags.unread_input = !self.fail_session(state);
    }

    /// Calls the application without the lock. `more`: further input follows in the same read.
    fn deliver(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, kind: MessageKind, payload: &[u8], more: bool) {
        let Some(session) = state.session.as_deref() else { return };
        let route = session.route;
        let in_place = dispatch::get().is_in_place(self.server.config.dispatch, route);
        state.flags.corked = more && in_place;
        if more && !in_place {
            // Earlier answers must not wait for a callback that may take long.
            self.flush(state);
        }
        let exchange = Exchange { connection: self, number: state.exchange };
        let message = Message { kind, payload, in_place, route, number: Self::next_message(state) };
        let driver = state.driver;
        state.flags.input_held_by = more.then_some(driver);
        let flow = self.unlocked(state, || self.run_message(&exchange, &message));
        state.hold(flow);
        if state.driver == driver {
            state.flags.input_held_by = None;
        }
    }

    fn next_message(state: &mut State) -> u32 {
        let number = state.messages;
        state.messages = number.wrapping_add(1);
        number
    }

    fn run_message(&self, exchange: &Exchange<'_>, message: &Message<'_>) -> Flow {
        let _guard = AbortOnPanic(exchange);
        self.server.stats.add(Counter::MessagesIn, 1);
        let in_place = message.in_place.then_some(message.route);
        let budget = self.server.config.in_place_budget;
        let _call = dispatch::get().begin(self.id(), in_place, now_nanos(), budget, &self.server.stats);
        self.server.application.message(exchange, message)
    }
}
