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

use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

pub(crate) use self::calls::Slot;
use self::monitor::Monitor;
use self::predictor::Predictor;
pub use self::predictor::Route;
pub(crate) use self::spares::Spares;
#[cfg(all(test, feature = "model"))]
pub(crate) use self::{calls::Rescue, doze::Doze};
use crate::runtime;
use crate::stats::{Counter, Stats};

/// Threads beyond one a core that can take over from one held up. Each costs a thread of the JVM; with none left every request goes to the pool.
pub(crate) const SPARE_THREADS: usize = 8;

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

/// The dispatch state of the process: one runtime, one table, whatever the number of servers.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    predictor: Predictor,
    slots: Vec<Slot>,
    spares: Spares,
    monitor: Monitor,
    epoch: Instant,
}

static DISPATCHER: Lazy<Dispatcher> = Lazy::new(|| Dispatcher::new(cores() + SPARE_THREADS));

/// Runtime threads that may be active at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The dispatcher of the process.
pub(crate) fn get() -> &'static Dispatcher {
    &DISPATCHER
}

/// A call that runs in place; ends when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct InPlace<'a> {
    dispatcher: &'a Dispatcher,
    slot: Option<&'a Slot>,
    route: Route,
    deadline: u64,
    stats: &'a Stats,
}

impl Drop for InPlace<'_> {
    fn drop(&mut self) {
        if self.slot.is_some_and(Slot::end) {
            // A spare took over: one thread has to wait again.
            runtime::park_one();
        }
        let quick = self.dispatcher.now_micros() <= self.deadline;
        if !quick {
            self.stats.add(Counter::Mispredicted, 1);
        }
        self.dispatcher.observe(self.route, quick);
    }
}

impl Dispatcher {
    fn new(threads: usize) -> Self {
        Self {
            predictor: Predictor::new(),
            slots: (0..threads).map(|_| Slot::new()).collect(),
            spares: Spares::new(),
            monitor: Monitor::default(),
            epoch: Instant::now(),
        }
    }

    /// Whether a request runs in place. With no spare left none does: one active thread always remains.
    pub(crate) fn is_in_place(&self, dispatch: Dispatch, route: Route) -> bool {
        match dispatch {
            Dispatch::Pool => false,
            Dispatch::InPlace => self.spares.available() > 0,
            Dispatch::Adaptive => self.predictor.is_quick(route) && self.spares.available() > 0,
        }
    }

    /// A call in place begins on this thread.
    pub(crate) fn begin<'a>(&'a self, connection: u64, route: Route, budget: Duration, stats: &'a Stats) -> InPlace<'a> {
        let budget = u64::try_from(budget.as_micros()).unwrap_or(u64::MAX >> 2);
        let deadline = self.now_micros().saturating_add(budget);
        let slot = self.slots.get(runtime::thread_number());
        if let Some(slot) = slot {
            slot.begin(deadline, connection);
            self.monitor.wake();
        }
        InPlace { dispatcher: self, slot, route, deadline, stats }
    }

    /// A call was over within its budget, or not.
    pub(crate) fn observe(&self, route: Route, quick: bool) {
        self.predictor.observe(route, quick);
    }

    pub(crate) fn spares(&self) -> &Spares {
        &self.spares
    }

    fn now_micros(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }
}

/// Reports how long a handler took on the pool, so that a route that has become quick runs in place again.
pub fn observe(route: Route, quick: bool) {
    get().observe(route, quick);
}
