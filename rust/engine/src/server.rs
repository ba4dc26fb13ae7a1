//! A server: a listener, its connections, and the three steps of its life (start, drain, close).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::application::Application;
use crate::config::{Listen, ServerConfig};
use crate::connection::Stop;
use crate::dispatch::{Dispatch, Route};
use crate::http1::Method;
use crate::listener::{self, Listener};
use crate::stats::{COUNTERS, Counter, Stats};
use crate::{registry, repetition, runtime};

/// Number of gauges.
pub const GAUGES: usize = 2;

/// How long a stop waits for the locks of its connections. Those of a disk that does not answer are not waited for.
const LOCK_WAIT: Duration = Duration::from_millis(100);

static SEED: AtomicU32 = AtomicU32::new(0);

/// A running server. Clones name the same server; dropping all of them does not stop it.
#[derive(Debug, Clone)]
pub struct Server {
    state: Arc<ServerState>,
    port: Option<u16>,
}

/// What the connections of one server share.
pub(crate) struct ServerState {
    pub(crate) config: ServerConfig,
    pub(crate) application: Arc<dyn Application>,
    pub(crate) listener: Listener,
    pub(crate) stats: Stats,
    /// Tells the routes of servers apart.
    seed: u32,
    connections: AtomicUsize,
    pending: AtomicU64,
    received: AtomicU64,
    draining: AtomicBool,
    drained: AtomicBool,
    /// A connection has ended: there is room below the cap.
    pub(crate) room: Notify,
}

/// The server could not listen.
#[derive(Debug)]
pub struct StartError {
    /// Where it was told to listen, `0.0.0.0:8090` or a path.
    pub address: String,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.source, self.address)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Server {
    /// Binds, listens, and serves until [`Server::close`].
    ///
    /// # Errors
    /// [`StartError`] if the address cannot be bound; nothing is left behind.
    pub fn start(config: ServerConfig, application: Arc<dyn Application>) -> Result<Self, StartError> {
        let fail = |source| StartError { address: describe(&config.listen), source };
        let reactor = runtime::first().map_err(fail)?;
        let _context = reactor.enter();
        let (listener, port) = Listener::bind(&config).map_err(fail)?;
        let timeouts = config.timeouts;
        [timeouts.header, timeouts.body, timeouts.write, timeouts.keep_alive].into_iter().for_each(runtime::sweep_for);
        runtime::sweep_for(Duration::from_millis(u64::from(config.ping_interval_millis)));
        let state = Arc::new(ServerState {
            config,
            application,
            listener,
            stats: Stats::default(),
            seed: SEED.fetch_add(1, Ordering::Relaxed),
            connections: AtomicUsize::new(0),
            pending: AtomicU64::new(0),
            received: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            room: Notify::new(),
        });
        reactor.spawn(listener::accept_forever(Arc::clone(&state)));
        Ok(Self { state, port })
    }

    /// The bound port, `None` on a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The counters, in the order of [`Counter`].
    #[must_use]
    pub fn stats(&self) -> [u64; COUNTERS] {
        self.state.stats.read()
    }

    /// Open connections, and bytes of output that wait for their clients.
    #[must_use]
    pub fn gauges(&self) -> [u64; GAUGES] {
        [self.state.connections.load(Ordering::Relaxed) as u64, self.state.pending()]
    }

    /// Stops listening, ends idle connections, and lets the others end with their current exchange. The application hears
    /// [`Application::drained`] once none is left.
    pub fn drain(&self) {
        if let Ok(reactor) = runtime::first() {
            let _context = reactor.enter();
            listener::accept_rest(&self.state);
        }
        self.state.listener.close(|| self.state.draining.store(true, Ordering::SeqCst));
        self.stop_connections(Stop::Drain);
        self.state.check_drained();
    }

    /// Cuts every connection that is left. Drains first if that was not done.
    pub fn close(&self) {
        self.drain();
        self.stop_connections(Stop::Cut);
    }

    fn stop_connections(&self, stop: Stop) {
        let until = Instant::now() + LOCK_WAIT;
        for connection in registry::collect(|connection| connection.belongs_to(&self.state)) {
            connection.stop(stop, until);
        }
    }
}

impl ServerState {
    /// The route of a request; routes matter to adaptive dispatch only.
    pub(crate) fn route(&self, method: Method, path: &[u8]) -> Route {
        match self.config.dispatch {
            Dispatch::Adaptive => Route::of(self.seed, method, path),
            Dispatch::Pool | Dispatch::InPlace => Route::default(),
        }
    }

    /// Counts a connection in, while the server listens.
    pub(crate) fn connection_begins(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.stats.add(Counter::Accepted, 1);
    }

    pub(crate) fn connection_ended(self: &Arc<Self>) {
        self.connections.fetch_sub(1, Ordering::SeqCst);
        if self.config.max_connections > 0 {
            self.room.notify_one();
        }
        self.check_drained();
    }

    /// So much more output waits for clients, or less.
    pub(crate) fn pending_changed(&self, bytes: i64) {
        self.pending.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of output that wait for clients.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// So much more is held for bodies and messages that are not complete, or less.
    pub(crate) fn received_changed(&self, bytes: i64) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes held for bodies and messages that are not complete.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.config.max_connections == 0 || self.connections.load(Ordering::SeqCst) < self.config.max_connections as usize
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn check_drained(self: &Arc<Self>) {
        if self.is_draining() && self.connections.load(Ordering::SeqCst) == 0 && !self.drained.swap(true, Ordering::SeqCst) {
            let server = Arc::clone(self);
            if !server.application.drained() {
                repetition::repeat(move |_| server.application.drained());
            }
        }
    }
}

impl fmt::Debug for ServerState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServerState").field("listen", &self.config.listen).finish_non_exhaustive()
    }
}

fn describe(listen: &Listen) -> String {
    match listen {
        Listen::Tcp { address, .. } => address.to_string(),
        Listen::Unix(path) => path.display().to_string(),
    }
}
