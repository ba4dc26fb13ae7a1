//! What a thread does that is late with a call: it is blocked, it computes, or it only waits for a core.
//!
//! A thread that waits for a core needs no help: a spare would wait for one as well, and take it from this thread. On a
//! machine without an idle core one call in a thousand loses its core in the middle; spares released for those cost
//! 13 % of the CPU of a small request and 20 % of its requests per second.

pub(super) use self::system::Watched;

/// What a thread was found doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// It waits for something other than a core.
    Blocked,
    /// It has a core or waits for one, and has computed for so long since it was started.
    Runnable { cpu_micros: u64 },
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use nix::time::{ClockId, clock_gettime};

    use super::Activity;

    /// A thread as another one sees it.
    #[derive(Debug)]
    pub(in super::super) struct Watched {
        /// proc_pid_stat(5); 2 microseconds a read.
        stat: File,
        clock: ClockId,
    }

    impl Watched {
        /// The current thread. `None` where the process may not look at its own threads.
        pub(in super::super) fn current() -> Option<Self> {
            let stat = File::open("/proc/thread-self/stat").ok()?;
            // The encoding of pthread_getcpuclockid(3): CPUCLOCK_PERTHREAD_MASK 4 and CPUCLOCK_SCHED 2.
            let clock = ClockId::from_raw(!rustix::thread::gettid().as_raw_nonzero().get() << 3 | 6);
            clock_gettime(clock).is_ok().then_some(Self { stat, clock })
        }

        /// What the thread does now. One that cannot be looked at counts as blocked.
        pub(in super::super) fn activity(&self) -> Activity {
            match (self.is_runnable(), clock_gettime(self.clock)) {
                (true, Ok(cpu)) => {
                    Activity::Runnable { cpu_micros: cpu.tv_sec() as u64 * 1_000_000 + cpu.tv_nsec() as u64 / 1_000 }
                }
                _ => Activity::Blocked,
            }
        }

        fn is_runnable(&self) -> bool {
            // `1234 (a name of up to 15 bytes) R `: the name may hold anything, and after it come numbers only.
            let mut line = [0; 48];
            let length = self.stat.read_at(&mut line, 0).unwrap_or(0);
            let line = &line[..length];
            line.iter().rposition(|&byte| byte == b')').and_then(|end| line.get(end + 2)) == Some(&b'R')
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Activity;

    /// Other systems have no cheap way to look at a thread: each late one counts as blocked.
    #[derive(Debug)]
    pub(in super::super) struct Watched;

    impl Watched {
        pub(in super::super) fn current() -> Option<Self> {
            None
        }

        pub(in super::super) fn activity(&self) -> Activity {
            Activity::Blocked
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Barrier, mpsc};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Activity, Watched};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn eventually(condition: impl Fn() -> bool) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if condition() {
                return true;
            }
            thread::yield_now();
        }
        false
    }

    #[test]
    fn a_thread_is_seen_to_block_and_to_compute() {
        let (computes, ends) = (AtomicBool::new(true), Barrier::new(2));
        let (send, receive) = mpsc::channel();
        thread::scope(|scope| {
            let worker = || {
                assert!(send.send(Watched::current()).is_ok());
                while computes.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                ends.wait();
            };
            assert!(thread::Builder::new().name(") R 1 (".to_owned()).spawn_scoped(scope, worker).is_ok());
            let Ok(Some(watched)) = receive.recv_timeout(PATIENCE) else { unreachable!("this process may not look at itself") };
            let cpu = || match watched.activity() {
                Activity::Runnable { cpu_micros } => Some(cpu_micros),
                Activity::Blocked => None,
            };
            let first = cpu();
            let advanced = eventually(|| cpu() > first);
            computes.store(false, Ordering::Relaxed);
            let blocked = eventually(|| cpu().is_none());
            ends.wait();
            assert_eq!((first.is_some(), advanced, blocked), (true, true, true));
        });
    }
}
