//! The reactors, one a core and shared by all servers: each a tokio runtime with a poller of its own, one active thread, and the spares
//! that take over from one held up by a slow handler ([`dispatch`]).
//!
//! A connection stays with the reactor it was given to. One runtime for all cores moves connections between them as it steals
//! work, which costs 5 to 10 % of the CPU of a small request.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use tokio::runtime::{Builder, EnterGuard, Runtime};

use crate::connection::sweep;
use crate::dispatch;

/// Handlers written in Clojure run on these threads: the JVM's own default for a thread's stack is 1 MiB.
const LEAST_STACK_SIZE: usize = 2 * 1024 * 1024;
/// The sweeper looks this often at least, and more often for servers with short timeouts.
pub(crate) const LONGEST_TICK: Duration = Duration::from_millis(500);

/// What to call as a thread starts and as it ends.
type Hooks = (fn(), fn());

static REACTORS: OnceCell<Vec<Reactor>> = OnceCell::new();
static HOOKS: OnceCell<Hooks> = OnceCell::new();
static STACK_SIZE: AtomicUsize = AtomicUsize::new(LEAST_STACK_SIZE);
static TICK_MILLIS: AtomicU64 = AtomicU64::new(LONGEST_TICK.as_millis() as u64);

/// The position of a thread: its reactor's number, and its own there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    pub(crate) reactor: usize,
    pub(crate) thread: usize,
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here { reactor: 0, thread: usize::MAX }) };
}

/// The current thread's position. A thread of no reactor counts to the first, with a number larger than any there.
#[inline]
pub(crate) fn here() -> Here {
    HERE.get()
}

/// One poller, and the threads that take turns at it.
#[derive(Debug)]
pub(crate) struct Reactor {
    runtime: Runtime,
    number: usize,
    connections: AtomicUsize,
}

impl Reactor {
    fn build(number: usize) -> io::Result<Self> {
        let (start, stop) = HOOKS.get().copied().unwrap_or((|| {}, || {}));
        let threads = 1 + dispatch::spare_threads();
        let (named, numbered) = (AtomicUsize::new(number * threads + 1), AtomicUsize::new(0));
        let mut builder = Builder::new_multi_thread();
        builder
            .enable_io()
            .worker_threads(threads)
            .thread_stack_size(STACK_SIZE.load(Ordering::Relaxed))
            .thread_name_fn(move || format!("httpkit-rs-{}", named.fetch_add(1, Ordering::Relaxed)))
            .on_thread_start(move || {
                HERE.set(Here { reactor: number, thread: numbered.fetch_add(1, Ordering::Relaxed) });
                dispatch::get().enlist();
                start();
            })
            .on_thread_stop(stop);
        if number == 0 {
            // The sweeper and the listeners run here, and nothing else needs timers.
            builder.enable_time();
        }
        // A task in the LIFO slot of a worker that runs a slow handler could not be taken over by another worker.
        #[cfg(tokio_unstable)]
        builder.disable_lifo_slot();
        Ok(Self { runtime: builder.build()?, number, connections: AtomicUsize::new(0) })
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Makes this the reactor of the sockets that are registered while the guard lives.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Spawns a task from whatever thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Parks one thread of the reactor, whichever comes first.
    fn park_one(&self) {
        let spares = dispatch::get().spares(self.number);
        spares.promise();
        self.spawn(async { spares.park() });
    }
}

/// A connection's place in a reactor, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(u16);

impl Place {
    /// A place where the fewest connections are; `None` before the first server.
    pub(crate) fn take() -> Option<(Self, &'static Reactor)> {
        let reactor = REACTORS.get()?.iter().min_by_key(|reactor| reactor.connections.load(Ordering::Relaxed))?;
        reactor.connections.fetch_add(1, Ordering::Relaxed);
        Some((Self(reactor.number as u16), reactor))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(reactor) = numbered(usize::from(self.0)) {
            reactor.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Functions to call on each thread of the reactors as it starts and as it ends. Must be set before the first server starts; later
/// calls have no effect.
pub fn set_thread_hooks(start: fn(), stop: fn()) {
    let _ = HOOKS.set((start, stop));
}

/// The stack that handlers may count on, in bytes. Must be said before the first server starts; later calls have no effect.
pub fn set_stack_size(bytes: usize) {
    STACK_SIZE.fetch_max(bytes, Ordering::Relaxed);
}

/// The first reactor, started with all others on first use.
pub(crate) fn first() -> io::Result<&'static Reactor> {
    let reactors = REACTORS.get_or_try_init(|| {
        // Those of the reactors, and the monitor.
        try_threads(dispatch::cores() * (1 + dispatch::spare_threads()) + 1)?;
        let reactors = (0..dispatch::cores()).map(Reactor::build).collect::<io::Result<Vec<_>>>()?;
        dispatch::get().start_monitor()?;
        for reactor in &reactors {
            (0..dispatch::spare_threads()).for_each(|_| reactor.park_one());
        }
        if let Some(first) = reactors.first() {
            first.spawn(sweep_forever());
        }
        Ok::<_, io::Error>(reactors)
    })?;
    reactors.first().ok_or_else(|| io::Error::other("no processor"))
}

/// Starts so many threads at once, and ends them. tokio panics for one it cannot start, and then waits for ever for those it has started.
fn try_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let mut threads = Vec::with_capacity(count);
    let started = (0..count).try_for_each(|_| {
        let gate = Arc::clone(&gate);
        let builder = thread::Builder::new().stack_size(STACK_SIZE.load(Ordering::Relaxed));
        threads.push(builder.spawn(move || drop(gate.lock()))?);
        Ok(())
    });
    drop(closed);
    for thread in threads {
        let _ = thread.join();
    }
    started.map_err(|error: io::Error| io::Error::new(error.kind(), format!("cannot start {count} threads: {error}")))
}

/// Spawns a task in the reactor of that number.
pub(crate) fn spawn(reactor: usize, task: impl Future<Output = ()> + Send + 'static) {
    if let Some(reactor) = numbered(reactor) {
        reactor.spawn(task);
    }
}

/// Spawns a task that waits for times, in the reactor that has them.
pub(crate) fn spawn_timed(task: impl Future<Output = ()> + Send + 'static) {
    spawn(0, task);
}

/// Parks one thread of the reactor of that number.
pub(crate) fn park_one(reactor: usize) {
    if let Some(reactor) = numbered(reactor) {
        reactor.park_one();
    }
}

fn numbered(reactor: usize) -> Option<&'static Reactor> {
    REACTORS.get()?.get(reactor)
}

/// Makes the sweeper look often enough for a timeout of that length.
pub(crate) fn sweep_for(timeout: Duration) {
    if !timeout.is_zero() {
        let tick = u64::try_from(timeout.as_millis() / 8).unwrap_or(u64::MAX).max(5);
        TICK_MILLIS.fetch_min(tick, Ordering::Relaxed);
    }
}

async fn sweep_forever() {
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MILLIS.load(Ordering::Relaxed))).await;
        sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, first};
    use crate::dispatch::cores;

    #[test]
    fn connections_go_where_the_fewest_are() {
        assert!(first().is_ok());
        let mut places: Vec<_> = (0..3 * cores()).filter_map(|_| Place::take()).map(|(place, _)| place).collect();
        let share = |places: &[Place], reactor: usize| places.iter().filter(|place| usize::from(place.0) == reactor).count();
        for reactor in 0..cores() {
            assert_eq!(share(&places, reactor), 3);
        }
        places.retain(|place| place.0 != 0);
        places.extend(Place::take().map(|(place, _)| place));
        assert_eq!(share(&places, 0), 1);
    }
}
