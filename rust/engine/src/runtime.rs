//! The one tokio runtime of the process, shared by all servers.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Runtime};

use crate::connection::sweep;
use crate::dispatch;

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

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The number of the current thread among the runtime's, from 0; something larger than any on other threads.
pub(crate) fn thread_number() -> usize {
    NUMBER.get()
}

/// The runtime, built on first use. As many threads as there are cores are active, the others wait in [`dispatch`]'s spares.
pub(crate) fn get() -> io::Result<&'static Runtime> {
    RUNTIME.get_or_try_init(|| {
        let (start, stop) = HOOKS.get().copied().unwrap_or((|| {}, || {}));
        let (named, numbered) = (AtomicUsize::new(1), AtomicUsize::new(0));
        let mut builder = Builder::new_multi_thread();
        builder
            .enable_all()
            .worker_threads(dispatch::cores() + dispatch::SPARE_THREADS)
            .thread_stack_size(STACK_SIZE)
            .thread_name_fn(move || format!("httpkit-rs-{}", named.fetch_add(1, Ordering::Relaxed)))
            .on_thread_start(move || {
                NUMBER.set(numbered.fetch_add(1, Ordering::Relaxed));
                start();
            })
            .on_thread_stop(stop);
        // A task in the LIFO slot of a worker that runs a slow handler could not be taken over by another worker.
        #[cfg(tokio_unstable)]
        builder.disable_lifo_slot();
        let runtime = builder.build()?;
        (0..dispatch::SPARE_THREADS).for_each(|_| park_one_of(&runtime));
        runtime.spawn(sweep_forever());
        dispatch::get().start_monitor()?;
        Ok(runtime)
    })
}

/// Spawns a task from whatever thread.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Some(runtime) = RUNTIME.get() {
        runtime.spawn(task);
    }
}

/// Parks one thread of the runtime, whichever comes first.
pub(crate) fn park_one() {
    if let Some(runtime) = RUNTIME.get() {
        park_one_of(runtime);
    }
}

fn park_one_of(runtime: &Runtime) {
    dispatch::get().spares().promise();
    runtime.spawn(async { dispatch::get().spares().park() });
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
