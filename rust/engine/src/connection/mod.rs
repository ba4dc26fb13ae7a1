//! A connection: a socket, a protocol core and an outbox behind one lock, driven by whoever has news.
//!
//! A task waits for the socket ([`drive`]); a thread that has an answer takes the lock, lets the core encode it and writes it
//! itself ([`answer`]). Only what the socket does not take at once is left to the task. The lock is never held while
//! application code runs, and what the application must be told is told after it is released.

mod answer;
mod body;
mod deadline;
mod drive;
mod frames;
mod handover;
mod kept_out;
mod liveness;
mod news;
mod outbox;
mod received;
mod requests;
mod session;
mod stop;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};

use self::body::Streamed;
use self::deadline::Waiting;
pub(crate) use self::deadline::sweep;
pub(crate) use self::drive::Drive;
pub(crate) use self::handover::Handover;
use self::kept_out::MOMENT;
use self::outbox::{Flushed, LOW_WATER, Outbox};
use self::session::Session;
pub(crate) use self::stop::Stop;
pub(crate) use self::transport::Transport;
use crate::application::{CloseCause, ExchangeId, SocketEnd};
use crate::dispatch::{self, Call, Route};
use crate::http1::Http1;
use crate::proxy::{Proxied, ProxyProtocol};
use crate::registry;
use crate::remote_address::Address;
use crate::runtime::Place;
use crate::server::ServerState;
use crate::stats::Counter;

/// One connection, shared by its task, the registry, and for a moment by each thread that answers on it.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    server: Arc<ServerState>,
    /// When the sweeper has to look at this connection, in milliseconds of [`crate::clock`].
    deadline: AtomicU64,
    /// What the server's stop has asked for and could not do at once, 0 for nothing.
    owed: AtomicU8,
    /// Why it is not forgotten: it has not ended, or there are news that the application has not heard. So many of these.
    keepers: AtomicU32,
    state: Mutex<State>,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` once the connection has ended.
    transport: Option<Transport>,
    http: Http1,
    /// The WebSocket this connection was upgraded to.
    session: Option<Box<Session>>,
    outbox: Outbox,
    /// Bytes received and not yet consumed: a partial request, or requests behind the one in progress.
    input: Vec<u8>,
    /// The body of the current request, if it is read while it arrives.
    streamed: Option<Box<Streamed>>,
    /// What [`State::received_change`] has told of.
    received: u32,
    /// The number of the last request.
    exchange: u32,
    /// Its route.
    route: Route,
    /// Calls for messages of the WebSocket so far.
    messages: u32,
    peer: Address,
    addresses: Option<Box<Addresses>>,
    waker: Option<Waker>,
    waiting: Waiting,
    flags: Flags,
    handover: Handover,
    /// The number of the task that drives the connection; tasks of another number let it be.
    driver: u32,
    notices: Notices,
    /// Held until the connection is forgotten.
    _place: Place,
}

/// What few connections have to say of their ends.
#[derive(Debug, Default)]
struct Addresses {
    /// What a PROXY line said.
    proxied: Option<Proxied>,
    /// The server's end of a connection that has ended, for the application that is told so.
    local: Option<Address>,
}

#[derive(Debug, Default)]
struct Flags {
    /// The first bytes may be a PROXY line.
    awaits_proxy: bool,
    /// `input` may hold a complete request.
    unread_input: bool,
    /// The client has sent its FIN.
    read_closed: bool,
    /// Likewise, behind input that is not read yet.
    close_seen: bool,
    /// Answers wait in the outbox because more pipelined requests follow in the same read.
    corked: bool,
    /// The number of a task that is inside the application and has part of the input with it: what follows must not be read
    /// before that one is back. Others may come back meanwhile, from calls that had been answered before.
    input_held_by: Option<u32>,
    /// The application wants to know when the client goes, even before anything was sent.
    watched: bool,
    /// A sender was told to wait.
    full: bool,
    /// Output is written and shut down; what the client still sends is discarded until it closes.
    lingering: bool,
    /// Some of that came since the deadline was set.
    still_sends: bool,
    /// How many times the deadline was set again for that.
    lingers: u8,
    /// Close with a linger: the client may still be sending what will not be read.
    linger_wanted: bool,
    /// Likewise, only because the client may send another request.
    lingers_for_more: bool,
    /// An answer may still be on its way when all of it is written: close with a linger, for what its reader may send.
    long_answer: bool,
}

/// What the application must be told once the lock is free.
#[derive(Debug, Default)]
struct Notices {
    writable: bool,
    readable: bool,
    closed: Option<CloseCause>,
    socket_end: Option<Box<SocketEnd>>,
    rejected: Option<u16>,
    /// It is to be forgotten once the application has heard the rest, and the server may have lost its last connection.
    ended: bool,
}

impl Drop for Connection {
    /// What was put into the outbox after the end waits for nobody.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.outbox.clear();
        self.server.pending_changed(state.outbox.change());
    }
}

impl Connection {
    /// Enters a new connection into the registry.
    pub(crate) fn open(
        server: &Arc<ServerState>,
        transport: Transport,
        peer: Address,
        place: Place,
        shard_hint: u32,
    ) -> Arc<Self> {
        let waiting = Waiting::Head;
        registry::insert(shard_hint, |id| {
            Arc::new(Self {
                id,
                deadline: AtomicU64::new(waiting.deadline(&server.config.timeouts)),
                server: Arc::clone(server),
                owed: AtomicU8::new(0),
                keepers: AtomicU32::new(1),
                state: Mutex::new(State {
                    transport: Some(transport),
                    http: Http1::new(),
                    session: None,
                    outbox: Outbox::default(),
                    input: Vec::new(),
                    streamed: None,
                    received: 0,
                    exchange: 0,
                    route: Route::default(),
                    messages: 0,
                    peer,
                    addresses: None,
                    waker: None,
                    waiting,
                    flags: Flags { awaits_proxy: server.config.proxy_protocol != ProxyProtocol::Disable, ..Flags::default() },
                    handover: Handover::default(),
                    driver: 0,
                    notices: Notices::default(),
                    _place: place,
                }),
            })
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn belongs_to(&self, server: &ServerState) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.server), server)
    }

    /// The call that runs in place here is slow, and perhaps a spare thread was released for it. Another task takes the connection
    /// over: its output must go on, and its end be noticed, while the call holds the task that had it.
    pub(crate) fn overdue(self: &Arc<Self>, rescued: bool) -> Option<Drive> {
        self.server.stats.add(Counter::Rescued, u64::from(rescued));
        // Whoever has it for longer writes a file, and has the output go on.
        let mut state = self.state.try_lock_for(MOMENT)?;
        // Driven, and the lock is free: the task is inside the application.
        let taken_over = state.transport.is_some() && state.handover.is_driven();
        if taken_over {
            state.driver = state.driver.wrapping_add(1);
            state.handover.end();
            state.waker = None;
            state.flags.corked = false;
            self.update_deadline(&mut state, false);
        }
        self.release(state);
        taken_over.then(|| Drive::new(Arc::clone(self)))
    }

    /// Ends the connection so that the client sees that something is missing.
    fn abort(&self, state: &mut State, cause: CloseCause) {
        let incomplete = state.http.is_in_exchange() || !state.outbox.is_empty();
        if let Some(transport) = state.transport.as_ref().filter(|_| incomplete) {
            transport.reset_on_close();
        }
        self.end(state, cause);
    }

    /// Closes the socket and gives back everything the connection holds. Idempotent.
    fn end(&self, state: &mut State, cause: CloseCause) {
        let Some(transport) = state.transport.take() else { return };
        if state.http.is_in_exchange() {
            state.notices.closed = Some(cause);
        }
        Self::session_lost(state, cause);
        if state.notices.closed.is_some() || state.notices.socket_end.is_some() {
            state.addresses.get_or_insert_default().local = transport.local_address();
        }
        state.http.close();
        state.outbox.clear();
        state.input = Vec::new();
        state.drop_body();
        state.handover.want(true);
        self.deadline.store(u64::MAX, Ordering::Relaxed);
        state.notices.ended = true;
    }

    /// See [`Dispatcher::watch`](dispatch::Dispatcher::watch).
    fn under_watch(&self) -> Option<Call<'_>> {
        dispatch::get().watch(self.server.config.in_place_budget, &self.server.stats)
    }

    /// Writes what the socket takes; a failed write ends the connection.
    fn flush(&self, state: &mut State) -> Flushed {
        let Some(transport) = &state.transport else {
            return Flushed::All;
        };
        if state.outbox.is_empty() {
            return Flushed::All;
        }
        let _watch = state.outbox.has_file().then(|| self.under_watch());
        match state.outbox.write(transport) {
            Ok(flushed) => {
                self.wrote(state);
                flushed
            }
            Err(_) => {
                self.abort(state, CloseCause::Client);
                Flushed::All
            }
        }
    }

    /// The socket has taken what it takes.
    fn wrote(&self, state: &mut State) {
        if state.flags.full && state.outbox.buffered() < LOW_WATER {
            state.flags.full = false;
            state.notices.writable = true;
        }
        let progress = state.outbox.written > 0;
        self.update_deadline(state, progress);
    }

    /// Frees the lock, then tells the application and the task what happened under it.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        let notices = std::mem::take(&mut state.notices);
        let written = std::mem::take(&mut state.outbox.written);
        // Answers held back for the ones that follow wait for us, not for the client.
        let pending = if state.flags.corked { 0 } else { state.outbox.change() };
        let received = state.received_change();
        let id = ExchangeId { connection: self.id, exchange: state.exchange };
        let messages = state.messages;
        let waker = if state.handover.must_wake() { state.waker.clone() } else { None };
        let (are_news, ended) = (notices.are_news(), notices.ended);
        if are_news {
            self.keep_for_news();
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        if pending != 0 {
            self.server.pending_changed(pending);
        }
        if received != 0 {
            self.server.received_changed(received);
        }
        if written > 0 {
            self.server.stats.add(Counter::BytesOut, written);
        }
        if let Some(status) = notices.rejected {
            self.server.stats.add(Counter::Rejected, 1);
            self.server.application.rejected(status);
        }
        if are_news {
            self.tell(id, messages, notices);
        }
        if ended {
            self.let_go();
        }
    }
}
