//! Tasks that cannot have the lock of their connection: whoever writes a file holds it for as long as the disk takes, and the thread of a
//! task has other connections to serve. One that begins tries again when the sweeper says so; one that comes back from the application
//! waits, and a spare thread takes its place.

use std::task::Waker;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::{Connection, State};

/// How long to wait for whoever has the lock, who needs microseconds unless it loses its core.
pub(super) const MOMENT: Duration = Duration::from_millis(20);

static KEPT_OUT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

/// Whether a task was kept out when it was last polled.
#[derive(Debug, Default)]
pub(super) struct KeptOut(bool);

impl KeptOut {
    /// The lock; or else the task will be woken.
    pub(super) fn lock<'a>(&mut self, connection: &'a Connection, waker: &Waker) -> Option<MutexGuard<'a, State>> {
        let state = if self.0 { connection.state.try_lock() } else { connection.state.try_lock_for(MOMENT) };
        self.0 = state.is_none();
        if self.0 {
            KEPT_OUT.lock().push(waker.clone());
        }
        state
    }
}

impl Connection {
    /// Runs `f`, which is the application's, without the lock.
    pub(super) fn unlocked<R>(&self, state: &mut MutexGuard<'_, State>, f: impl FnOnce() -> R) -> R {
        MutexGuard::unlocked(state, || {
            let result = f();
            if self.state.is_locked() {
                self.await_lock();
            }
            result
        })
    }

    #[cold]
    fn await_lock(&self) {
        let _watch = self.under_watch();
        drop(self.state.lock());
    }
}

/// Has each of them try again.
pub(super) fn let_in() {
    let waiting = std::mem::take(&mut *KEPT_OUT.lock());
    waiting.into_iter().for_each(Waker::wake);
}
