//! Input becomes requests, and requests become calls of the application: on this very thread, without the lock.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::body::Streamed;
use super::outbox::{Flushed, LOW_WATER};
use super::{Connection, State};
use crate::application::Request;
use crate::clock::now_nanos;
use crate::exchange::Exchange;
use crate::http1::{HeaderStorage, Received, Rejection, RequestHead, ResponseBody, encode_head};
use crate::proxy::{self, FirstLine, ProxyProtocol};
use crate::remote_address::{Address, of_request};
use crate::stats::Counter;
use crate::{date, dispatch};

impl Connection {
    /// Hands the requests in `input` to the application, one after the other. Returns how much of it is done with.
    pub(super) fn process(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, input: &[u8]) -> usize {
        let (mut position, driver) = (0, state.driver);
        // When the call before was over, until something else takes time: one reading of the clock serves two calls.
        let mut moment = None;
        state.flags.unread_input = false;
        if state.flags.awaits_proxy {
            match self.read_proxy_line(state, input) {
                Some(length) => position = length,
                None => return 0,
            }
        }
        while position < input.len() && state.transport.is_some() && !state.http.is_closed() {
            let must_flush = state.outbox.has_bulk() || state.outbox.buffered() > LOW_WATER;
            if must_flush {
                moment = None;
                if self.flush(state) != Flushed::All {
                    state.flags.unread_input = true;
                    break;
                }
            }
            let mut storage = HeaderStorage::new();
            match state.http.receive(&input[position..], &mut storage, &self.server.config.limits) {
                Ok(Received::Incomplete { consumed: 0 }) => break,
                Ok(Received::Incomplete { consumed }) => position += consumed,
                Ok(Received::Continue { consumed }) => {
                    position += consumed;
                    moment = None;
                    self.send_continue(state);
                }
                Ok(Received::Request { consumed, head, body }) => {
                    position += consumed;
                    moment = self.dispatch(state, head, body, position < input.len(), moment);
                }
                Ok(Received::Head { consumed, head, awaits_continue }) => {
                    position += consumed;
                    state.streamed = Some(Box::new(Streamed::new(awaits_continue)));
                    match self.receive_body(state, &input[position..]) {
                        Ok(taken) => position += taken,
                        Err(rejection) => {
                            self.reject(state, rejection);
                            return input.len();
                        }
                    }
                    let whole = state.whole_body();
                    let whole = whole.as_deref().unwrap_or_default();
                    moment = self.dispatch(state, head, whole, position < input.len(), moment);
                }
                Ok(Received::Collected { consumed, request }) => {
                    position += consumed;
                    let mut storage = HeaderStorage::new();
                    match request.parse(&mut storage) {
                        Ok(head) => moment = self.dispatch(state, head, &request.body, position < input.len(), moment),
                        Err(rejection) => self.reject(state, rejection),
                    }
                }
                Err(rejection) => {
                    self.reject(state, rejection);
                    return input.len();
                }
            }
            if state.driver != driver {
                return position;
            }
            if state.http.is_in_exchange() || state.session.is_some() {
                state.flags.unread_input = position < input.len();
                break;
            }
        }
        state.flags.linger_wanted |= state.http.is_closed() && position < input.len();
        position
    }

    /// `None` while the line is not complete, or after it was refused.
    fn read_proxy_line(&self, state: &mut State, input: &[u8]) -> Option<usize> {
        match proxy::read(input, self.server.config.proxy_protocol == ProxyProtocol::Enable) {
            Ok(FirstLine::Incomplete) => None,
            Ok(FirstLine::Absent) => {
                state.flags.awaits_proxy = false;
                Some(0)
            }
            Ok(FirstLine::Present(proxied, length)) => {
                state.flags.awaits_proxy = false;
                state.peer = Address::Ip(proxied.source);
                state.addresses.get_or_insert_default().proxied = Some(proxied);
                Some(length)
            }
            Err(rejection) => {
                self.reject(state, rejection);
                None
            }
        }
    }

    /// Calls the application without the lock. `more`: further input follows in the same read. `moment`: now, where it is known. Returns
    /// the moment of the call's end, likewise.
    fn dispatch(
        self: &Arc<Self>,
        state: &mut MutexGuard<'_, State>,
        head: RequestHead<'_, '_>,
        body: &[u8],
        more: bool,
        moment: Option<u64>,
    ) -> Option<u64> {
        state.exchange = state.exchange.wrapping_add(1);
        state.flags.corked = more;
        state.flags.watched = false;
        let proxied = state.addresses.as_deref().and_then(|addresses| addresses.proxied.as_ref());
        if let Some(proxied) = proxied {
            proxied.overwrite(head.fields);
        }
        let remote = of_request(&self.server.config, state.peer, proxied.is_some(), head.fields);
        let (uri, query) = split_target(head.target);
        let route = self.server.route(head.method, uri);
        state.route = route;
        let streamed = state.streamed.is_some();
        let mut request = Request {
            method: head.method,
            http11: head.http11,
            websocket: head.websocket,
            uri,
            query,
            server_name: head.host,
            server_port: head.port,
            remote_address: remote.as_deref(),
            headers: head.fields,
            body,
            streamed,
            // A handler that waits for its client would hold up a whole reactor.
            in_place: !streamed && dispatch::get().is_in_place(self.server.config.dispatch, route),
            route,
            received: moment.unwrap_or_else(now_nanos),
        };
        if !request.in_place && state.flags.corked {
            // Earlier answers must not wait for a handler that may take long.
            state.flags.corked = false;
            self.flush(state);
            request.received = now_nanos();
        }
        if head.websocket {
            // A refused upgrade costs the connection: what follows it may be frames, never another request.
            state.http.close_after_exchange();
        }
        let exchange = Exchange { connection: self, number: state.exchange };
        let driver = state.driver;
        state.flags.input_held_by = more.then_some(driver);
        let end = self.unlocked(state, || self.run(&exchange, &request));
        if state.driver != driver {
            return None;
        }
        state.flags.input_held_by = None;
        if state.http.is_in_exchange() && state.flags.corked {
            state.flags.corked = false;
            self.flush(state);
        }
        end
    }

    /// Calls the application, under the eyes of the monitor. Returns the moment of the end, if it was looked at.
    fn run(&self, exchange: &Exchange<'_>, request: &Request<'_>) -> Option<u64> {
        let _guard = AbortOnPanic(exchange);
        self.server.stats.add(Counter::Requests, 1);
        self.server.stats.add(Counter::InPlace, u64::from(request.in_place));
        let in_place = request.in_place.then_some(request.route);
        let budget = self.server.config.in_place_budget;
        let call = dispatch::get().begin(self.id, in_place, request.received, budget, &self.server.stats);
        self.server.application.request(exchange, request);
        call.end()
    }

    pub(super) fn send_continue(&self, state: &mut State) {
        let (out, date) = (state.outbox.buffer(), date::now());
        // A head without fields of the application cannot be invalid.
        let _ = encode_head(out, 100, [], ResponseBody::None(None), &self.style(true, &date));
        let flushed = self.flush(state);
        state.handover.want(flushed != Flushed::All);
    }

    /// One answer, then the close.
    pub(super) fn reject(&self, state: &mut State, rejection: Rejection) {
        let body = rejection.reason.as_bytes();
        let (out, date) = (state.outbox.buffer(), date::now());
        let content_type: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/plain; charset=utf-8")];
        let length = ResponseBody::Length(body.len() as u64);
        let encoded = encode_head(out, rejection.status, content_type, length, &self.style(false, &date));
        if encoded.is_ok() && !rejection.head {
            out.extend_from_slice(body);
        }
        state.http.close();
        state.drop_body();
        state.flags.linger_wanted = true;
        state.notices.rejected = Some(rejection.status);
        self.flush(state);
    }
}

/// Cuts the exchange of a call that panics: by then another task may drive the connection, and nobody else would end it.
pub(super) struct AbortOnPanic<'a>(pub(super) &'a Exchange<'a>);

impl Drop for AbortOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort();
        }
    }
}

/// `:uri` and `:query-string`: parted at the first `?`.
fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        None => (target, None),
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
    }
}
