//! Spare workers: threads of a reactor that wait until another one is held up by a slow handler.
//!
//! A reactor has several threads, but no more than one a core may be active (5 on 2 cores: p99 11 ms instead of 1). The others each
//! sit in a task that blocks here. Releasing one lets it take over the queue and the poller of the thread that is held up; when the
//! slow call returns, one thread, whichever comes first, is parked again.

use std::sync::Arc;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, mutex};

/// Where spare threads wait.
#[derive(Debug)]
pub(crate) struct Spares {
    state: Mutex<State>,
    /// The length of `State::waiting`, to be read without the lock for every request.
    waiting: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Threads that wait, or are told to and have not arrived yet, less those released and still waking up.
    available: u64,
    /// Releases before the thread they are for has arrived.
    tokens: usize,
    /// One for each thread that waits. The last to come is the first to go: its caches are the warmest, and if calls lose their cores now and
    /// then, the same few threads take turns.
    waiting: Vec<Arc<Condvar>>,
}

impl Spares {
    pub(crate) fn new() -> Self {
        Self { state: mutex(State::default()), waiting: AtomicU64::new(0) }
    }

    /// A thread is going to [`Spares::park`]: it counts as a spare from now on, so that a release in between is not lost.
    pub(crate) fn promise(&self) {
        self.state.lock().available += 1;
    }

    /// Lets one spare go. False if there is none.
    pub(crate) fn release(&self) -> bool {
        let mut state = self.state.lock();
        if state.available == 0 {
            return false;
        }
        state.available -= 1;
        let Some(released) = state.waiting.pop() else {
            state.tokens += 1;
            return true;
        };
        self.waiting.store(state.waiting.len() as u64, Ordering::SeqCst);
        drop(state);
        released.notify_one();
        true
    }

    /// Blocks the thread, which was promised, until it is released.
    pub(crate) fn park(&self) {
        let mut state = self.state.lock();
        if state.tokens > 0 {
            state.tokens -= 1;
            return;
        }
        let released = Arc::new(Condvar::default());
        state.waiting.push(Arc::clone(&released));
        self.waiting.store(state.waiting.len() as u64, Ordering::SeqCst);
        while state.waiting.iter().any(|waiting| Arc::ptr_eq(waiting, &released)) {
            state = released.wait(state);
        }
    }

    /// Whether a thread waits here, so that another one may block. One that was only promised cannot help: perhaps it runs a call that
    /// blocks, too.
    #[inline]
    pub(crate) fn any_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Spares that could be released now, and whether they all wait.
    #[cfg(test)]
    pub(crate) fn available(&self) -> (u64, bool) {
        let state = self.state.lock();
        (state.available, state.waiting.len() as u64 == state.available)
    }
}
