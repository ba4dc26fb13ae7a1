//! The one tokio runtime of the process, shared by all servers.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Runtime};

use crate::connection::sweep;

/// Handlers written in Clojure run on these threads: the JVM's own default for a thread's stack is 1 MiB.
const STACK_SIZE: usize = 2 * 1024 * 1024;
/// The sweeper looks this often at least, and more often for servers with short timeouts.
const LONGEST_TICK: Duration = Duration::from_millis(500);

/// What to call as a thread starts and as it ends.
type Hooks = (fn(), fn());

static RUNTIME: OnceCell<Runtime> = OnceCell::new();
static HOOKS: OnceCell<Hooks> = OnceCell::new();
static TICK_MILLIS: AtomicU64 = AtomicU64::new(LONGEST_TICK.as_millis() as u64);

/// Functions to call on each thread of the runtime as it starts and as it ends. Must be set before the first server starts; later
/// calls have no effect.
pub fn set_thread_hooks(start: fn(), stop: fn()) {
    let _ = HOOKS.set((start, stop));
}

/// The runtime, built on first use with as many workers as there are cores: a further active worker costs more in
/// tail latency (p99 11 ms instead of 1 on 2 cores) than it brings.
pub(crate) fn get() -> io::Result<&'static Runtime> {
    RUNTIME.get_or_try_init(|| {
        let (start, stop) = HOOKS.get().copied().unwrap_or((|| {}, || {}));
        let number = AtomicUsize::new(1);
        let mut builder = Builder::new_multi_thread();
        builder
            .enable_all()
            .thread_stack_size(STACK_SIZE)
            .thread_name_fn(move || format!("httpkit-rs-{}", number.fetch_add(1, Ordering::Relaxed)))
            .on_thread_start(start)
            .on_thread_stop(stop);
        // A task in the LIFO slot of a worker that runs a slow handler could not be taken over by another worker.
        #[cfg(tokio_unstable)]
        builder.disable_lifo_slot();
        let runtime = builder.build()?;
        runtime.spawn(sweep_forever());
        Ok(runtime)
    })
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
