//! A monotonic clock cheap enough to be read for every request: deadlines need no better than the kernel's 4 ms tick.

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

/// Seconds since the epoch.
pub(crate) fn unix_seconds() -> u64 {
    clock_gettime(REALTIME).tv_sec as u64
}
