//! What a load measures: messages, times, and this program's own share of the machine.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs from the start of a load; counts messages and keeps every waiting time.
pub struct Figures {
    began: Instant,
    cpu_before: Duration,
    waits: Vec<Duration>,
    messages: u64,
}

/// Processor time that this process has used.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Figures {
    pub fn start() -> Self {
        Self { waits: Vec::new(), messages: 0, cpu_before: cpu(), began: Instant::now() }
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    /// Notes that so many messages have arrived, the last of them after that wait.
    pub fn note(&mut self, messages: u64, wait: Duration) {
        self.messages += messages;
        self.waits.push(wait);
    }

    /// One line of JSON. A percentile of 0 is unknown.
    pub fn json(mut self, end: Instant) -> String {
        // Sorting is no part of the load.
        let (cpu, length) = (cpu() - self.cpu_before, end - self.began);
        self.waits.sort_unstable();
        format!(
            r#"{{"messages":{},"duration_micros":{},"p50_micros":{:.1},"p99_micros":{:.1},"max_micros":{:.1},"cpu_micros":{}}}"#,
            self.messages,
            length.as_micros(),
            self.percentile(0.5),
            self.percentile(0.99),
            self.percentile(1.0),
            cpu.as_micros(),
        )
    }

    fn percentile(&self, share: f64) -> f64 {
        let rank = (self.waits.len() as f64 * share).ceil() as usize;
        self.waits.get(rank.saturating_sub(1)).map_or(0.0, |wait| wait.as_secs_f64() * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_waits() {
        let mut figures = Figures::start();
        for millis in 1..=100 {
            figures.waits.push(Duration::from_millis(millis));
        }
        assert_eq!([0.5, 0.99, 1.0].map(|share| figures.percentile(share)), [50e3, 99e3, 100e3]);
    }

    #[test]
    fn without_messages_percentiles_are_unknown() {
        assert!(Figures::start().json(Instant::now()).contains(r#""messages":0,"#));
    }
}
