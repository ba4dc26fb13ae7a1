//! The WebSocket of a connection: what it needs beside the protocol core, and how it ends.

use parking_lot::MutexGuard;

use super::{Connection, Notices, State};
use crate::application::{CloseCause, ExchangeId, Flow, SocketEnd, SocketEndKind};
use crate::date;
use crate::dispatch::Route;
use crate::exchange::{Sent, UpgradeOptions};
use crate::http1::{Headers, InvalidHead, ResponseStyle};
use crate::stats::Counter;
use crate::websocket::{CloseCode, Closed, ControlTooLong, FrameHeader, InvalidClose, MAX_CONTROL, Opcode, WebSocket};
use crate::websocket::{State as Progress, Violation, push_frame};

/// Why a client whose outbox is full is closed.
const TOO_SLOW: &str = "The client does not read what is sent to it";
/// A WebSocket, boxed in the state of its connection: those that speak HTTP pay a pointer for it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) protocol: WebSocket,
    /// What the time of message callbacks is reported for.
    pub(super) route: Route,
    /// The application answers pings.
    pub(super) own_pong: bool,
    /// How many times the application asked for a pause and has not taken it back: it may do so before its call returns.
    pub(super) holds: i32,
    /// What the client did against the protocol, while the answers to its earlier messages are waited for.
    pub(super) ending: Option<Box<Closed>>,
    /// The application knows that it has ended.
    pub(super) told: bool,
    /// It was closed because its client does not read: how slowly it goes on reading makes no difference.
    pub(super) too_slow: bool,
    /// Bytes came since the deadline was set.
    pub(super) heard: bool,
    /// Something was sent since the deadline was set.
    pub(super) spoke: bool,
    /// Of that, a message or another frame than a pong.
    pub(super) talked: bool,
    /// A ping went out and nothing came since.
    pub(super) pinged: bool,
    /// Without a frame in either direction for so many milliseconds it is closed; 0 for any time.
    pub(super) idle_millis: u32,
}

impl Session {
    /// Messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.protocol.state() == Progress::Open || self.ending.is_some() && !self.told
    }
}

/// What ended a WebSocket whose client's last word is this.
fn kind(closed: &Closed) -> SocketEndKind {
    match closed.violation {
        None => SocketEndKind::Client,
        Some(Violation::NoRoom) => SocketEndKind::Overload,
        Some(_) => SocketEndKind::Violation,
    }
}

impl State {
    /// The WebSocket, while messages go both ways.
    pub(super) fn open_session(&mut self) -> Option<&mut Session> {
        self.session.as_deref_mut().filter(|session| session.is_open())
    }

    /// The application has taken a message. One that closed the WebSocket meanwhile holds nothing up: it hears of no other.
    pub(super) fn hold(&mut self, flow: Flow) {
        if let Some(session) = self.session.as_deref_mut().filter(|session| flow == Flow::Hold && !session.told) {
            session.holds += 1;
        }
    }
}

impl Connection {
    /// Answers with a 101: from here on the connection is a WebSocket. What the client sent behind its request is its first frames.
    pub(crate) fn upgrade<'h, H: Headers<'h>>(
        &self,
        number: u32,
        headers: H,
        options: UpgradeOptions,
    ) -> Result<Sent, InvalidHead> {
        let Some(mut guard) = self.unanswered(number) else { return Ok(Sent::NotOpen) };
        let state = &mut *guard;
        // What is left of a body would be taken for frames.
        let is_late = state.flags.read_closed || state.http.is_receiving();
        if is_late || self.server.is_draining() {
            let cause = if is_late { CloseCause::Client } else { CloseCause::Server };
            self.end(state, cause);
            self.release(guard);
            return Ok(Sent::NotOpen);
        }
        let date = date::now();
        let out = state.outbox.buffer();
        state.http.upgrade(out, headers, ResponseStyle { http11: true, keep_alive: true, server: None, date: &date })?;
        let max_message = if options.max_message == 0 { self.server.config.max_message } else { options.max_message };
        state.session = Some(Box::new(Session {
            protocol: WebSocket::new(max_message),
            route: state.route.of_messages(),
            own_pong: options.own_pong,
            holds: 0,
            ending: None,
            told: false,
            too_slow: false,
            heard: false,
            spoke: false,
            talked: false,
            pinged: false,
            idle_millis: options.idle_millis,
        }));
        state.flags.long_answer = false;
        state.drop_body();
        state.handover.want(state.flags.unread_input);
        Ok(self.written(guard))
    }

    /// One message or control frame, from whatever thread.
    pub(crate) fn send_message(&self, number: u32, opcode: Opcode, payload: &[u8]) -> Result<Sent, ControlTooLong> {
        if opcode.is_control() && payload.len() > MAX_CONTROL {
            return Err(ControlTooLong);
        }
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.exchange != number {
            return Ok(Sent::NotOpen);
        }
        let Some(session) = state.open_session() else { return Ok(Sent::NotOpen) };
        session.spoke = true;
        if self.is_too_slow(state) {
            let reason = TOO_SLOW.to_owned();
            self.close_session(state, SocketEndKind::Slow, CloseCode::TRY_AGAIN_LATER, reason);
            self.written(guard);
            return Ok(Sent::NotOpen);
        }
        let header = FrameHeader::new(opcode, payload.len());
        state.outbox.buffer().extend_from_slice(header.as_bytes());
        let transport = state.transport.as_ref().filter(|_| !state.flags.corked);
        if state.outbox.push(transport, payload, b"").is_err() {
            self.abort(state, CloseCause::Client);
            self.release(guard);
            return Ok(Sent::NotOpen);
        }
        self.server.stats.add(Counter::MessagesOut, 1);
        Ok(self.written(guard))
    }

    /// The application closes: a Close frame, and the connection waits for the client's for a while.
    pub(crate) fn close_websocket(&self, number: u32, code: i32, reason: &str) -> Result<Sent, InvalidClose> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(session) = state.session.as_deref_mut().filter(|_| state.exchange == number) else {
            return WebSocket::new(0).close(code, reason).map(|_| Sent::NotOpen);
        };
        match session.protocol.close(code, reason)? {
            Some(frame) => state.outbox.buffer().extend_from_slice(&frame),
            // The client broke the protocol, and hears of that.
            None if session.is_open() => {}
            None => return Ok(Sent::NotOpen),
        }
        session.told = true;
        session.holds = 0;
        // What was held back is read now, or the Close that answers this one is not.
        state.handover.want(true);
        // Also if the write finds the client gone: the caller has closed it, and nobody else hears of its end.
        self.written(guard);
        Ok(Sent::Accepted)
    }

    /// The engine closes, for a reason the application hears of.
    pub(super) fn close_session(&self, state: &mut State, kind: SocketEndKind, code: CloseCode, reason: String) {
        let Some(session) = state.open_session() else { return };
        session.told = true;
        session.too_slow = kind == SocketEndKind::Slow;
        session.holds = 0;
        let on_wire = if kind == SocketEndKind::Slow { "" } else { &reason };
        if let Ok(Some(frame)) = session.protocol.close(i32::from(code.0), on_wire) {
            state.outbox.buffer().extend_from_slice(&frame);
        }
        state.handover.want(true);
        state.notices.socket_end = Some(Box::new(SocketEnd { kind, code: code.0, reason }));
    }

    /// The application wants messages again.
    pub(crate) fn resume(&self, number: u32) {
        let mut state = self.state.lock();
        if state.exchange == number {
            if let Some(session) = state.session.as_deref_mut() {
                session.holds -= 1;
                state.handover.want(true);
            }
        }
        self.release(state);
    }

    /// The client's Close frame has come, or it broke the protocol. What is left is to tell the application, to write the reply and
    /// to close. The application is told first (as http-kit does): a client that has the reply may count on its on-close having
    /// begun.
    pub(super) fn session_closed(&self, state: &mut MutexGuard<'_, State>, closed: Closed) {
        let Some(session) = state.session.take() else { return };
        // A client that broke the protocol may still be sending: a close now would destroy the Close frame on its way.
        state.flags.linger_wanted |= closed.violation.is_some();
        state.http.close();
        if !session.told {
            let end = SocketEnd { kind: kind(&closed), code: closed.code.0, reason: closed.reason };
            let (id, messages) = (ExchangeId { connection: self.id, exchange: state.exchange }, state.messages);
            let notices = Notices { socket_end: Some(Box::new(end)), ..Notices::default() };
            self.keep_for_news();
            self.unlocked(state, || self.tell(id, messages, notices));
        }
        // Another thread may have ended the connection meanwhile.
        if let Some(reply) = closed.reply.filter(|_| state.transport.is_some()) {
            state.outbox.buffer().extend_from_slice(&reply);
        }
    }

    /// Fails the connection of a client that broke the protocol, unless answers to its earlier messages are waited for.
    pub(super) fn fail_session(&self, state: &mut MutexGuard<'_, State>) -> bool {
        let due = state.session.as_deref_mut().filter(|session| session.holds <= 0).and_then(|session| session.ending.take());
        due.map(|closed| self.session_closed(state, *closed)).is_some()
    }

    /// The connection has ended under its WebSocket.
    pub(super) fn session_lost(state: &mut State, cause: CloseCause) {
        let Some(session) = state.session.take() else { return };
        if session.told {
            return;
        }
        if let Some(closed) = session.ending {
            let (kind, code) = (kind(&closed), closed.code.0);
            state.notices.socket_end = Some(Box::new(SocketEnd { kind, code, reason: closed.reason }));
            return;
        }
        let (kind, code) = match cause {
            CloseCause::Server => (SocketEndKind::Server, CloseCode::GOING_AWAY),
            // A deadline that passes here is that of a client that takes nothing: one that is idle is closed.
            CloseCause::Client | CloseCause::Timeout => (SocketEndKind::Lost, CloseCode::ABNORMAL),
        };
        state.notices.socket_end = Some(Box::new(SocketEnd { kind, code: code.0, reason: String::new() }));
    }

    /// Answers a ping.
    pub(super) fn pong(state: &mut State, payload: &[u8]) {
        push_frame(state.outbox.buffer(), Opcode::Pong, payload);
    }
}
