//! The monitor: a thread that looks, while reactors call the application, for a call that has used up its budget and holds its thread up,
//! and releases a spare thread for it. It sleeps when no call runs.

use std::thread::{self, Thread};
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::Dispatcher;
use super::calls::{Overdue, Rescue, Slot};
use super::doze::Doze;
use crate::{registry, runtime};

/// How often it looks: a call over its budget is found within this time.
const TICK: Duration = Duration::from_micros(500);
/// Looks without any call before it sleeps: waking it costs a request 3 microseconds.
const IDLE_TICKS: u32 = 40;

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
            if self.look() {
                idle = 0;
            } else {
                idle += 1;
            }
            if idle >= IDLE_TICKS {
                idle = 0;
                if self.monitor.doze.falls_asleep(|| self.look()) {
                    while self.monitor.doze.is_asleep() {
                        thread::park();
                    }
                }
            }
            thread::sleep(TICK);
        }
    }

    /// One look at all calls. True if any runs.
    fn look(&self) -> bool {
        let now = self.now_micros();
        let mut busy = false;
        for (reactor, crew) in self.crews.iter().enumerate() {
            for slot in &crew.slots {
                busy |= slot.is_busy();
                if let Some(overdue) = slot.overdue(now).filter(|&overdue| slot.is_held_up(overdue)) {
                    self.help(reactor, slot, overdue);
                }
            }
        }
        busy
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
