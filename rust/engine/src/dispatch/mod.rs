//! Where a handler runs: at once on the runtime thread that parsed its request, or on the application's pool.
//!
//! A hand-over between threads costs more than parsing, JNI and the Ring map together, so quick handlers run in place; a slow
//! one must hold nobody up, so the [`predictor`] sends its route to the pool, and the [`monitor`] lets a [spare thread](spares)
//! take over from one that was mispredicted.

mod calls;
mod doze;
mod monitor;
mod predictor;
mod spares;
mod watched;

use std::time::Duration;

use once_cell::sync::Lazy;

pub(crate) use self::calls::Slot;
use self::monitor::Monitor;
use self::predictor::Predictor;
pub use self::predictor::Route;
pub(crate) use self::spares::Spares;
#[cfg(all(test, feature = "model"))]
pub(crate) use self::{calls::Rescue, doze::Doze};
use crate::clock::now_nanos;
use crate::runtime;
use crate::stats::{Counter, Stats};

/// Threads of the process, beyond one a core, that can take over from one held up. Each costs a thread of the JVM; with none left in
/// a reactor all its requests go to the pool.
const SPARE_THREADS: usize = 8;
/// Of them for each reactor, at least.
const LEAST_SPARES: usize = 2;

/// An id that no connection has.
const NO_CONNECTION: u64 = 0;

/// Where a server's handlers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatch {
    /// Always on the pool.
    Pool,
    /// On the runtime thread, however long they take.
    InPlace,
    /// In place for routes that are quick.
    Adaptive,
}

/// The threads of one reactor.
#[derive(Debug)]
struct Crew {
    slots: Vec<Slot>,
    spares: Spares,
}

/// The dispatch state of the process: one table, whatever the number of servers.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    predictor: Predictor,
    /// One for each reactor.
    crews: Vec<Crew>,
    monitor: Monitor,
}

static DISPATCHER: Lazy<Dispatcher> = Lazy::new(Dispatcher::new);

/// Reactors, and so runtime threads that may be active at once. Read once: a container's share may change, their number does not.
pub(crate) fn cores() -> usize {
    static CORES: Lazy<usize> = Lazy::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    *CORES
}

/// Spare threads of each reactor.
pub(crate) fn spare_threads() -> usize {
    SPARE_THREADS.div_ceil(cores()).max(LEAST_SPARES)
}

/// The dispatcher of the process.
pub(crate) fn get() -> &'static Dispatcher {
    &DISPATCHER
}

/// A call of the application on a thread of a reactor; ends when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    dispatcher: &'a Dispatcher,
    slot: Option<&'a Slot>,
    /// `None` for one that only hands its request to the pool.
    in_place: Option<Route>,
    /// In nanoseconds of the clock.
    deadline: u64,
    stats: &'a Stats,
}

impl Call<'_> {
    /// Ends the call. Returns the moment, if it was looked at.
    pub(crate) fn end(mut self) -> Option<u64> {
        self.finish()
    }

    fn finish(&mut self) -> Option<u64> {
        if self.slot.take().is_some_and(Slot::end) {
            // A spare took over: one thread has to wait again.
            runtime::park_one(runtime::here().reactor);
        }
        let route = self.in_place.take()?;
        let now = now_nanos();
        let quick = now <= self.deadline;
        if !quick {
            self.stats.add(Counter::Mispredicted, 1);
        }
        self.dispatcher.observe(route, quick);
        Some(now)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Crew {
    fn new() -> Self {
        Self { slots: (0..=spare_threads()).map(|_| Slot::new()).collect(), spares: Spares::new() }
    }
}

impl Dispatcher {
    fn new() -> Self {
        Self { predictor: Predictor::new(), crews: (0..cores()).map(|_| Crew::new()).collect(), monitor: Monitor::default() }
    }

    /// Whether a request on this thread runs in place. With no spare waiting none does: each reactor keeps one active thread.
    pub(crate) fn is_in_place(&self, dispatch: Dispatch, route: Route) -> bool {
        let may = match dispatch {
            Dispatch::Pool => false,
            Dispatch::InPlace => true,
            Dispatch::Adaptive => self.predictor.is_quick(route),
        };
        may && self.spares(runtime::here().reactor).any_waiting()
    }

    /// A call begins on this thread `now`, under the eyes of the monitor: also one that hands its request to the pool, for that is the
    /// application's, and may run what it does not take on the caller's thread.
    pub(crate) fn begin<'a>(
        &'a self,
        connection: u64,
        in_place: Option<Route>,
        now: u64,
        budget: Duration,
        stats: &'a Stats,
    ) -> Call<'a> {
        let budget = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX >> 2);
        let deadline = now.saturating_add(budget).min(u64::MAX >> 1);
        let slot = self.slot();
        if let Some(slot) = slot {
            slot.begin(deadline, connection);
            self.monitor.wake();
        }
        Call { dispatcher: self, slot, in_place, deadline, stats }
    }

    /// What the current thread does until this is dropped may block it, as a file on a slow disk does. `None` within a call, which is
    /// watched already, and on other threads.
    pub(crate) fn watch<'a>(&'a self, budget: Duration, stats: &'a Stats) -> Option<Call<'a>> {
        let is_free = self.slot().is_some_and(|slot| !slot.is_busy());
        is_free.then(|| self.begin(NO_CONNECTION, None, now_nanos(), budget, stats))
    }

    /// A call for that connection runs on this thread, and nobody has taken over from it.
    pub(crate) fn is_calling_for(&self, connection: u64) -> bool {
        self.slot().is_some_and(|slot| slot.is_calling_for(connection))
    }

    /// A call was over within its budget, or not.
    pub(crate) fn observe(&self, route: Route, quick: bool) {
        self.predictor.observe(route, quick);
    }

    /// The current thread is ready to run calls.
    pub(crate) fn enlist(&self) {
        if let Some(slot) = self.slot() {
            slot.enlist();
        }
    }

    /// The current thread's, if it is one of a reactor.
    fn slot(&self) -> Option<&Slot> {
        let here = runtime::here();
        self.crews[here.reactor].slots.get(here.thread)
    }

    /// The spares of a reactor.
    pub(crate) fn spares(&self, reactor: usize) -> &Spares {
        &self.crews[reactor].spares
    }
}

/// Reports how long a handler took on the pool, so that a route that has become quick runs in place again.
pub fn observe(route: Route, quick: bool) {
    get().observe(route, quick);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::{get, spare_threads};
    use crate::runtime;
    use crate::stats::Stats;

    /// Waits until so many spares of the first reactor are available.
    fn spares(count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while get().spares(0).available() != (count as u64, true) {
            assert!(Instant::now() < deadline, "never {count} spares");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_spare_takes_over_from_a_watched_thread_that_blocks() {
        let reactor = runtime::first().unwrap();
        spares(spare_threads());
        let ((began, begun), (release, released)) = (channel(), channel::<()>());
        reactor.spawn(async move {
            let stats = Stats::default();
            let watch = get().watch(Duration::from_micros(1), &stats);
            let within = get().watch(Duration::from_micros(1), &stats);
            assert_eq!(began.send((watch.is_some(), within.is_none())), Ok(()));
            let _ = released.recv();
        });
        assert_eq!(begun.recv(), Ok((true, true)));
        spares(spare_threads() - 1);
        assert_eq!(release.send(()), Ok(()));
        spares(spare_threads());
    }
}
