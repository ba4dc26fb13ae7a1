//! The calls of the application, in place or to hand a request to its pool: one slot a runtime thread, written by that thread and
//! watched by the monitor.

use once_cell::sync::OnceCell;

use super::spares::Spares;
use super::watched::{Activity, Watched};
use crate::sync::{AtomicU64, Ordering};

/// Set in a slot by the monitor when it has released a spare for the call.
const RESCUED: u64 = 1 << 63;
const IDLE: u64 = 0;
/// A runnable thread is held up by its call once it has computed for so long after the budget.
const COMPUTES_MICROS: u64 = 250;

/// The state of one runtime thread. On a cache line of its own: the thread writes it for every request.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    /// When the running call has used up its budget, in nanoseconds and never 0, perhaps with `RESCUED`; `IDLE` between calls.
    call: AtomicU64,
    /// The connection it runs for.
    connection: AtomicU64,
    thread: OnceCell<Watched>,
    /// The monitor's: the late call it has seen last, and what CPU time the thread had used then.
    seen: AtomicU64,
    seen_cpu: AtomicU64,
}

impl Slot {
    pub(crate) fn new() -> Self {
        let [call, connection, seen, seen_cpu] = std::array::from_fn(|_| AtomicU64::new(IDLE));
        Self { call, connection, thread: OnceCell::new(), seen, seen_cpu }
    }

    /// The current thread is the one whose calls this is about.
    pub(super) fn enlist(&self) {
        if let Some(thread) = Watched::current() {
            let _ = self.thread.set(thread);
        }
    }

    /// A call begins on this thread.
    #[inline]
    pub(crate) fn begin(&self, deadline_nanos: u64, connection: u64) {
        self.connection.store(connection, Ordering::Relaxed);
        self.call.store(deadline_nanos.max(1), Ordering::Release);
    }

    /// The call has returned. True if a spare was released for it: one thread has to park again.
    #[inline]
    pub(crate) fn end(&self) -> bool {
        self.call.swap(IDLE, Ordering::AcqRel) & RESCUED != 0
    }

    /// The call, if it has used up its budget and has no spare yet.
    pub(crate) fn overdue(&self, now_nanos: u64) -> Option<Overdue> {
        let call = self.call.load(Ordering::Acquire);
        let is_overdue = call != IDLE && call & RESCUED == 0 && now_nanos > call;
        is_overdue.then(|| Overdue { call, connection: self.connection.load(Ordering::Relaxed) })
    }

    /// Whether the overdue call holds its thread up, or the thread only waits for a core.
    pub(super) fn is_held_up(&self, overdue: Overdue) -> bool {
        match self.thread.get().map_or(Activity::Blocked, Watched::activity) {
            Activity::Blocked => true,
            Activity::Runnable { cpu_micros } => {
                let is_new = self.seen.swap(overdue.call, Ordering::Relaxed) != overdue.call;
                if is_new {
                    self.seen_cpu.store(cpu_micros, Ordering::Relaxed);
                }
                cpu_micros.saturating_sub(self.seen_cpu.load(Ordering::Relaxed)) >= COMPUTES_MICROS
            }
        }
    }

    /// Releases a spare thread for the call. The spare goes first: a call marked before there is one would have a thread park for
    /// nothing when it returns.
    pub(crate) fn rescue(&self, overdue: Overdue, spares: &Spares) -> Rescue {
        if !spares.release() {
            return Rescue::NoSpare;
        }
        let marked = self.call.compare_exchange(overdue.call, overdue.call | RESCUED, Ordering::AcqRel, Ordering::Relaxed);
        if marked.is_ok() { Rescue::Released } else { Rescue::TooLate }
    }

    /// True while a call for that connection runs and has no spare. To be asked by the slot's own thread.
    pub(super) fn is_calling_for(&self, connection: u64) -> bool {
        let call = self.call.load(Ordering::Acquire);
        call != IDLE && call & RESCUED == 0 && self.connection.load(Ordering::Relaxed) == connection
    }

    /// True while a call runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.call.load(Ordering::Acquire) != IDLE
    }
}

/// What became of an attempt to rescue a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescue {
    /// A spare thread takes over; one parks when the call returns.
    Released,
    /// A spare was released, but the call has returned meanwhile: one thread has to park now.
    TooLate,
    /// There is no spare.
    NoSpare,
}

/// A call that has run for too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overdue {
    call: u64,
    /// The connection it runs for.
    pub(crate) connection: u64,
}
