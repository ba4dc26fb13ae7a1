//! Tells quick routes from slow ones by how they behaved, like a branch predictor: a small table of saturating counters.
//!
//! A route is the server, the method and the *shape* of the path, in which every segment that holds a digit counts as the same, so that
//! ids do not make routes. The table has a fixed size: two routes may share a counter, and then the slower of them decides
//! for both, which costs the quicker one a hand-over to the pool and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::http1::Method;

/// Counters in the table, four bytes each; an application with 100 routes has a collision once in 13 applications.
const SLOTS: usize = 1 << 16;
/// A slow call in place is worth so many quick ones. One alone proves nothing: the thread may have lost its core for a while.
const STRIKE: u8 = 3;
/// With so many strikes a route leaves: two slow calls within three.
const OUT: u8 = 4;
/// Quick calls on the pool that bring a route back, doubled each time it leaves again soon.
const AWAY: u16 = 8;
/// How often that is doubled at most: 8 * 2^5 = 256 quick calls in a row.
const MOST_STUBBORN: u8 = 5;

/// A position in the table of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Route(u16);

impl Route {
    /// The route of a request. `seed` tells servers apart.
    pub(crate) fn of(seed: u32, method: Method, path: &[u8]) -> Self {
        // FNV-1a: short inputs, no attacker gains from a collision but the slower lane.
        let mut hash = (0xcbf2_9ce4_8422_2325 ^ u64::from(seed)).wrapping_mul(PRIME);
        hash = (hash ^ method as u64).wrapping_mul(PRIME);
        for segment in path.split(|&byte| byte == b'/') {
            hash = (hash ^ u64::from(b'/')).wrapping_mul(PRIME);
            if segment.iter().any(u8::is_ascii_digit) {
                hash = (hash ^ u64::from(b'0')).wrapping_mul(PRIME);
            } else {
                hash = segment.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
            }
        }
        Self((hash >> 48) as u16)
    }

    /// The route of the messages of a WebSocket that was opened by a request of this one: another counter, for other code runs.
    #[must_use]
    pub(crate) fn of_messages(self) -> Self {
        Self(self.0 ^ 0x9e37)
    }

    /// The route as it crosses the JNI boundary.
    #[must_use]
    pub fn to_wire(self) -> u16 {
        self.0
    }

    /// The route that crossed the JNI boundary.
    #[must_use]
    pub fn from_wire(number: u16) -> Self {
        Self(number)
    }
}

const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The counters of all servers.
#[derive(Debug)]
pub(crate) struct Predictor {
    counters: Box<[AtomicU32]>,
}

/// What is known of a route, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Record {
    /// Quick calls on the pool until it runs in place again, 0 while it does.
    away: u16,
    /// Slow calls in place that are not forgiven yet, times `STRIKE`.
    strikes: u8,
    /// How often it left soon after it came back.
    stubborn: u8,
    /// Quick calls in place since `stubborn` changed.
    run: u8,
}

impl Predictor {
    /// Every route is quick until it shows otherwise.
    pub(crate) fn new() -> Self {
        Self { counters: (0..SLOTS).map(|_| AtomicU32::new(0)).collect() }
    }

    /// True if the route's handler is expected to return within the budget.
    #[inline]
    pub(crate) fn is_quick(&self, route: Route) -> bool {
        Record::unpack(self.counter(route).load(Ordering::Relaxed)).away == 0
    }

    /// A call returned within the budget or not. A race between two threads loses one step, which the next call takes.
    #[inline]
    pub(crate) fn observe(&self, route: Route, quick: bool) {
        let counter = self.counter(route);
        let word = counter.load(Ordering::Relaxed);
        // The common case costs one read.
        if word != 0 || !quick {
            let mut record = Record::unpack(word);
            if quick {
                record.was_quick();
            } else {
                record.was_slow();
            }
            counter.store(record.pack(), Ordering::Relaxed);
        }
    }

    fn counter(&self, route: Route) -> &AtomicU32 {
        &self.counters[usize::from(route.0)]
    }
}

impl Record {
    fn was_quick(&mut self) {
        if self.away > 0 {
            self.away -= 1;
            if self.away == 0 {
                // On probation: the next slow call sends it away again.
                self.strikes = STRIKE;
                self.run = 0;
            }
            return;
        }
        self.strikes = self.strikes.saturating_sub(1);
        self.run = self.run.saturating_add(1);
        if self.run == u8::MAX {
            self.stubborn = self.stubborn.saturating_sub(1);
            self.run = 0;
        }
    }

    fn was_slow(&mut self) {
        if self.away == 0 {
            self.strikes = (self.strikes + STRIKE).min(2 * OUT);
            if self.strikes < OUT {
                return;
            }
            self.strikes = 0;
            self.run = 0;
            self.away = AWAY << self.stubborn;
            self.stubborn = (self.stubborn + 1).min(MOST_STUBBORN);
        } else {
            self.away = self.away.max(AWAY << self.stubborn.saturating_sub(1));
        }
    }

    fn pack(self) -> u32 {
        u32::from(self.away) | u32::from(self.strikes) << 16 | u32::from(self.stubborn) << 20 | u32::from(self.run) << 24
    }

    fn unpack(word: u32) -> Self {
        Self { away: word as u16, strikes: (word >> 16 & 0xf) as u8, stubborn: (word >> 20 & 0xf) as u8, run: (word >> 24) as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::{AWAY, Predictor, Route};
    use crate::http1::Method;

    fn route(path: &str) -> Route {
        Route::of(1, Method::Get, path.as_bytes())
    }

    fn observe(predictor: &Predictor, quick: bool, times: u16) {
        (0..times).for_each(|_| predictor.observe(route("/report"), quick));
    }

    fn is_quick(predictor: &Predictor) -> bool {
        predictor.is_quick(route("/report"))
    }

    #[test]
    fn ids_do_not_make_routes() {
        assert_eq!(route("/item/1"), route("/item/48129"));
        assert_eq!(route("/user/4f1c-99/posts"), route("/user/0/posts"));
        assert_ne!(route("/item/1"), route("/item/new"));
        assert_ne!(route("/a/b"), route("/ab"));
        assert_ne!(route("/"), Route::of(2, Method::Get, b"/"));
        assert_ne!(route("/"), Route::of(1, Method::Post, b"/"));
    }

    #[test]
    fn two_slow_calls_send_a_route_away_and_quick_ones_bring_it_back() {
        let predictor = Predictor::new();
        observe(&predictor, false, 1);
        assert!(is_quick(&predictor), "one slow call is an accident");
        observe(&predictor, false, 1);
        assert!(!is_quick(&predictor));
        observe(&predictor, true, AWAY - 1);
        assert!(!is_quick(&predictor));
        observe(&predictor, true, 1);
        assert!(is_quick(&predictor));
    }

    #[test]
    fn accidents_are_forgiven() {
        let predictor = Predictor::new();
        for _ in 0..100 {
            observe(&predictor, false, 1);
            observe(&predictor, true, 3);
            assert!(is_quick(&predictor));
        }
    }

    #[test]
    fn a_route_that_is_slow_again_soon_stays_away_for_longer() {
        let predictor = Predictor::new();
        observe(&predictor, false, 2);
        observe(&predictor, true, AWAY);
        observe(&predictor, false, 1);
        assert!(!is_quick(&predictor), "it was on probation");
        observe(&predictor, true, 2 * AWAY - 1);
        assert!(!is_quick(&predictor));
        observe(&predictor, true, 1);
        assert!(is_quick(&predictor));
    }

    #[test]
    fn a_slow_call_on_the_pool_starts_the_count_again() {
        let predictor = Predictor::new();
        observe(&predictor, false, 2);
        observe(&predictor, true, AWAY - 1);
        observe(&predictor, false, 1);
        observe(&predictor, true, AWAY - 1);
        assert!(!is_quick(&predictor));
    }

    #[test]
    fn a_long_quiet_run_makes_a_route_trusted_again() {
        let predictor = Predictor::new();
        for _ in 0..4 {
            observe(&predictor, false, 3);
            while !is_quick(&predictor) {
                observe(&predictor, true, 1);
            }
        }
        observe(&predictor, true, 5 * 255);
        observe(&predictor, false, 2);
        observe(&predictor, true, AWAY);
        assert!(is_quick(&predictor));
    }
}
