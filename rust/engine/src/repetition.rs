//! What the application could not be told, as when a JVM has no memory, is told again and again.
//!
//! One task sees to all of it, one piece of news at a time, and pauses whenever one fails: the others would fail as well, and in a full heap
//! each attempt costs a garbage collection.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::runtime;

/// Soon for the one who waits; then ever more seldom, for a machine in need.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A quarter of an hour: what the application has not taken in by then it never will.
const ATTEMPTS: u32 = 1000;

/// Tells a piece of news, `last` when it is not to be told once more. Returns true if the application has taken it in.
type Tell = Box<dyn FnMut(bool) -> bool + Send>;

struct Untold {
    tell: Tell,
    attempts: u32,
}

struct Queue {
    untold: VecDeque<Untold>,
    /// The task runs.
    is_served: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { untold: VecDeque::new(), is_served: false });

/// Has a piece of news told again, later and by one of the engine's threads. `tell` gets true when that is its last call.
pub(crate) fn repeat(tell: impl FnMut(bool) -> bool + Send + 'static) {
    let mut queue = QUEUE.lock();
    queue.untold.push_back(Untold { tell: Box::new(tell), attempts: 0 });
    if !std::mem::replace(&mut queue.is_served, true) {
        runtime::spawn_timed(serve());
    }
}

async fn serve() {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
        while let Some(mut news) = next() {
            news.attempts += 1;
            let is_last = news.attempts == ATTEMPTS;
            if (news.tell)(is_last) {
                pause = FIRST_PAUSE;
            } else if !is_last {
                QUEUE.lock().untold.push_back(news);
                break;
            }
        }
        let mut queue = QUEUE.lock();
        if queue.untold.is_empty() {
            queue.is_served = false;
            return;
        }
    }
}

fn next() -> Option<Untold> {
    QUEUE.lock().untold.pop_front()
}
