//! The monitor: a thread that looks, while reactors call the application, for a call that has used up its budget and holds its thread up,
//! and releases a spare thread for it. It sleeps when no call runs.

use std::thread::{self, Thread};
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::Dispatcher;
use super::calls::{Overdue, Rescue, Slot};
use super::doze::Doze;
use crate::clock::now_nanos;
use crate::{registry, runtime};

/// How often it looks: a call over its budget is found within this time. Each look costs some 10 microseconds, most of them the kernel's.
const TICK: Duration = Duration::from_micros(700);
/// How soon it looks again when a late thread may be computing: both times together are less than 1 ms.
const SECOND_LOOK: Duration = Duration::from_micros(250);
/// Looks without any call before it sleeps: waking it costs a request 3 microseconds.
const IDLE_TICKS: u32 = 30;

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    Calls,
    /// A late call whose thread is not blocked, or not yet known to be.
    Late,
}

/// The monitor's thread as its clients see it.
#[derive(Debug)]
pub(super) struct Monitor {
    thread: OnceCell<Thread>,
    doze: Doze,
}

impl Default for Monitor {
    fn default() -> Self {
        Self { thread: OnceCell::new(), doze: Doze::new() }
    }
}

impl Monitor {
    /// A call has begun.
    #[inline]
    pub(super) fn wake(&self) {
        if self.doze.must_wake() {
            self.unpark();
        }
    }

    #[cold]
    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Dispatcher {
    /// Starts the monitor's thread. Once a process.
    pub(crate) fn start_monitor(&'static self) -> std::io::Result<()> {
        let handle = thread::Builder::new().name("httpkit-rs-monitor".into()).spawn(move || self.monitor())?;
        let _ = self.monitor.thread.set(handle.thread().clone());
        Ok(())
    }

    fn monitor(&self) {
        let mut idle = 0;
        loop {
            let found = self.look();
            idle = if found == Found::Nothing { idle + 1 } else { 0 };
            if idle >= IDLE_TICKS {
                idle = 0;
                if self.monitor.doze.falls_asleep(|| self.look() != Found::Nothing) {
                    while self.monitor.doze.is_asleep() {
                        thread::park();
                    }
                }
            }
            thread::sleep(if found == Found::Late { SECOND_LOOK } else { TICK });
        }
    }

    /// One look at all calls.
    fn look(&self) -> Found {
        let now = now_nanos();
        let mut found = Found::Nothing;
        for (reactor, crew) in self.crews.iter().enumerate() {
            for slot in &crew.slots {
                if slot.is_busy() {
                    found = found.max(Found::Calls);
                }
                match slot.overdue(now) {
                    Some(overdue) if slot.is_held_up(overdue) => self.help(reactor, slot, overdue),
                    Some(_) => found = Found::Late,
                    None => {}
                }
            }
        }
        found
    }

    /// Has a spare take over from a call that is over its budget.
    fn help(&self, reactor: usize, slot: &Slot, overdue: Overdue) {
        let rescue = slot.rescue(overdue, self.spares(reactor));
        if rescue == Rescue::TooLate {
            runtime::park_one(reactor);
        } else if let Some(connection) = registry::get(overdue.connection) {
            if let Some(drive) = connection.overdue(rescue == Rescue::Released) {
                runtime::spawn(reactor, drive);
            }
        }
    }
}
