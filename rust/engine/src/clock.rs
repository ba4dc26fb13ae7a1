//! The clocks. Deadlines of connections need no better than the kernel's 4 ms tick, which costs next to nothing; the time of a call is
//! measured in nanoseconds, and each reading costs 25 of them.

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const MONOTONIC: ClockId = ClockId::MonotonicCoarse;
#[cfg(not(target_os = "linux"))]
const MONOTONIC: ClockId = ClockId::Monotonic;

#[cfg(target_os = "linux")]
const REALTIME: ClockId = ClockId::RealtimeCoarse;
#[cfg(not(target_os = "linux"))]
const REALTIME: ClockId = ClockId::Realtime;

/// Milliseconds since some fixed moment.
pub(crate) fn now_millis() -> u64 {
    let now = clock_gettime(MONOTONIC);
    (now.tv_sec as u64) * 1000 + (now.tv_nsec as u64) / 1_000_000
}

/// Nanoseconds since some fixed moment: on Linux what `System.nanoTime` of a JVM returns.
pub(crate) fn now_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// Seconds since the epoch.
pub(crate) fn unix_seconds() -> u64 {
    clock_gettime(REALTIME).tv_sec as u64
}
