//! Counters of a server, cheap enough to be always on: each thread adds to a shard of its own, a reader sums the shards.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 16;

/// What is counted. The discriminant is the position in [`Server::stats`](crate::Server::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Connections accepted.
    Accepted,
    /// Requests handed to the application.
    Requests,
    /// Those of them that ran in place.
    InPlace,
    /// Requests the engine refused itself (4xx, 5xx).
    Rejected,
    /// Calls in place that took longer than their budget.
    Mispredicted,
    /// Those of them for which a spare thread took over.
    Rescued,
    /// Bytes read from sockets.
    BytesIn,
    /// Bytes written to sockets.
    BytesOut,
    /// WebSocket messages, pings and pongs handed to the application.
    MessagesIn,
    /// WebSocket messages, pings and pongs of the application.
    MessagesOut,
}

/// Number of counters.
pub const COUNTERS: usize = 10;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNTERS]);

/// The counters of one server.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    shards: [Shard; SHARDS],
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Stats {
    #[inline]
    pub(crate) fn add(&self, counter: Counter, amount: u64) {
        self.shards[shard()].0[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// The sums, in the order of [`Counter`]. Not a snapshot: each is read at its own moment.
    pub(crate) fn read(&self) -> [u64; COUNTERS] {
        let mut sums = [0; COUNTERS];
        for shard in &self.shards {
            for (sum, counter) in sums.iter_mut().zip(&shard.0) {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        sums
    }
}

#[inline]
fn shard() -> usize {
    let mut number = SHARD.get();
    if number == usize::MAX {
        number = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        SHARD.set(number);
    }
    number
}
