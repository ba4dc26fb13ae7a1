//! Deliberate panics, to prove that none reaches the JVM. In a release build every function here is empty.

#[cfg(any(debug_assertions, feature = "fault-injection"))]
use std::sync::atomic::{AtomicI32, Ordering};

/// Where a panic can be made to happen; the number is the argument of `Native.panic`, 0 is `Native.panic` itself.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub(crate) enum Point {
    Start = 1,
    Port,
    Drain,
    Close,
    Respond,
    RespondBytes,
    RespondFile,
    StartStream,
    Send,
    Abort,
    LocalAddress,
    RemoteAddress,
    Stats,
    Observe,
    Watch,
    Upgrade,
    SendMessage,
    CloseWebSocket,
    Resume,
    /// The up-call of a request, inside the guard that answers 500.
    Request,
    /// Any other up-call, inside its guard.
    UpCall,
    /// The up-call of a request, outside every guard of this crate: the engine's task must catch it.
    Task,
    /// The up-call of a message, inside its guard.
    Message,
    UpCalls,
    SendText,
    Receive,
}

#[cfg(any(debug_assertions, feature = "fault-injection"))]
static ARMED: AtomicI32 = AtomicI32::new(-1);

/// Makes the next passage through a point panic.
#[cfg(any(debug_assertions, feature = "fault-injection"))]
pub(crate) fn arm(point: i32) {
    if point == 0 {
        inject();
    }
    ARMED.store(point, Ordering::SeqCst);
}

/// Panics if this point is armed, once.
#[inline]
pub(crate) fn pass(point: Point) {
    #[cfg(any(debug_assertions, feature = "fault-injection"))]
    if ARMED.load(Ordering::Relaxed) == point as i32
        && ARMED.compare_exchange(point as i32, -1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    {
        inject();
    }
    #[cfg(not(any(debug_assertions, feature = "fault-injection")))]
    let _ = point;
}

/// The only deliberate panic of the project.
#[cfg(any(debug_assertions, feature = "fault-injection"))]
#[allow(clippy::panic)]
fn inject() {
    std::panic::panic_any("injected fault");
}
