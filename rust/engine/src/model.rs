//! The hand-overs of dispatch and connections under loom, which tries every interleaving of their threads:
//! `cargo test -p httpkit-engine --features model --lib model`.

use loom::sync::Arc;
use loom::thread;

use crate::connection::Handover;
use crate::dispatch::{Doze, Rescue, Slot, Spares};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, mutex};

/// A call over its budget returns while the monitor rescues it: as many threads park again as were released.
#[test]
fn each_released_spare_is_replaced_once() {
    loom::model(|| {
        let (slot, spares) = (Arc::new(Slot::new()), Arc::new(Spares::new()));
        let to_park = Arc::new(AtomicU64::new(0));
        spares.promise();
        let spare = thread::spawn({
            let spares = Arc::clone(&spares);
            move || spares.park()
        });
        let worker = thread::spawn({
            let (slot, to_park) = (Arc::clone(&slot), Arc::clone(&to_park));
            move || {
                slot.begin(1, 7);
                if slot.end() {
                    to_park.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        if let Some(overdue) = slot.overdue(2) {
            if slot.rescue(overdue, &spares) == Rescue::TooLate {
                to_park.fetch_add(1, Ordering::SeqCst);
            }
        }
        worker.join().unwrap();
        let released = 1 - spares.available().0;
        assert_eq!(to_park.load(Ordering::SeqCst), released);
        if released == 0 {
            assert!(spares.release());
        }
        spare.join().unwrap();
    });
}

/// A thread that sees a spare waiting may block: the spare it saw goes on once released, and is not one only told to wait.
#[test]
fn a_spare_that_is_only_promised_lets_nobody_block() {
    loom::model(|| {
        let spares = Arc::new(Spares::new());
        spares.promise();
        assert!(!spares.any_waiting());
        let spare = thread::spawn({
            let spares = Arc::clone(&spares);
            move || spares.park()
        });
        assert!(spares.release());
        assert!(!spares.any_waiting());
        spare.join().unwrap();
    });
}

/// Two threads are released before either has arrived where it waits: none is lost.
#[test]
fn a_release_before_the_spare_waits_is_not_lost() {
    loom::model(|| {
        let spares = Arc::new(Spares::new());
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                spares.promise();
                let spares = Arc::clone(&spares);
                thread::spawn(move || spares.park())
            })
            .collect();
        assert!(spares.release() && spares.release());
        assert!(!spares.release());
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A call begins while the monitor falls asleep: it is seen, or the monitor is woken.
#[test]
fn the_monitor_never_sleeps_through_a_call() {
    loom::model(|| {
        let (slot, doze) = (Arc::new(Slot::new()), Arc::new(Doze::new()));
        let woken = Arc::new(AtomicBool::new(false));
        // The monitor is awake at first.
        doze.must_wake();
        let caller = thread::spawn({
            let (slot, doze, woken) = (Arc::clone(&slot), Arc::clone(&doze), Arc::clone(&woken));
            move || {
                slot.begin(1, 7);
                if doze.must_wake() {
                    woken.store(true, Ordering::SeqCst);
                }
            }
        });
        let asleep = doze.falls_asleep(|| slot.is_busy());
        caller.join().unwrap();
        assert!(!asleep || woken.load(Ordering::SeqCst), "the call runs unwatched");
        assert_eq!(asleep && !woken.load(Ordering::SeqCst), doze.is_asleep());
    });
}

#[derive(Default)]
struct Shared {
    handover: Handover,
    work: bool,
    done: bool,
}

fn drive(shared: &Mutex<Shared>) {
    let mut state = shared.lock();
    state.handover.begin();
    // The application runs without the lock; an answer may come meanwhile, from this thread or another.
    drop(state);
    let mut state = shared.lock();
    if std::mem::take(&mut state.work) {
        state.done = true;
    }
    state.handover.end();
}

/// An answer from another thread that leaves work for the task: the task does it, woken or not.
#[test]
fn work_for_the_task_is_never_left_lying() {
    loom::model(|| {
        let shared = Arc::new(mutex(Shared::default()));
        let woken = Arc::new(AtomicBool::new(false));
        let answer = thread::spawn({
            let (shared, woken) = (Arc::clone(&shared), Arc::clone(&woken));
            move || {
                let mut state = shared.lock();
                state.work = true;
                state.handover.want(true);
                let wake = state.handover.must_wake();
                drop(state);
                woken.store(wake, Ordering::SeqCst);
            }
        });
        drive(&shared);
        answer.join().unwrap();
        if woken.load(Ordering::SeqCst) {
            drive(&shared);
        }
        assert!(shared.lock().done, "the task waits although there is work");
    });
}
