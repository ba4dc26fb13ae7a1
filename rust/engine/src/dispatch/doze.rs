//! How the monitor falls asleep without missing a call.

use crate::sync::{AtomicBool, Ordering, fence};

/// Whether the monitor sleeps.
///
/// The monitor says that it sleeps and then looks once more; a caller writes its slot and then asks. With a fence between the two
/// steps on both sides, one of the two sees the other.
#[derive(Debug)]
pub(crate) struct Doze {
    asleep: AtomicBool,
}

impl Doze {
    pub(crate) fn new() -> Self {
        Self { asleep: AtomicBool::new(true) }
    }

    /// After a call has begun: true for the one caller who has to wake the monitor.
    #[inline]
    pub(crate) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// True if the monitor may sleep until [`Doze::is_asleep`] is false; false if a call runs.
    pub(crate) fn falls_asleep(&self, is_busy: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if is_busy() {
            self.asleep.store(false, Ordering::Release);
            return false;
        }
        true
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }
}
