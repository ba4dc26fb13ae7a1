//! Runs a test again in a process of its own: memory, processor time and file descriptors are counted per process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::PATIENCE;

const CHILD: &str = "HTTPKIT_ENGINE_TEST_CHILD";

/// True in the child that runs this test.
pub(crate) fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|running| running == test)
}

fn command(test: &str, limits: &str) -> Command {
    // Thousands of connections need more descriptors than most systems give unasked.
    let script = format!("ulimit -Sn \"$(ulimit -Hn)\"; {limits}; exec \"$0\" --exact \"$1\" --nocapture --test-threads 1");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().expect("this program")).arg(test).env(CHILD, test);
    command
}

/// Runs `measure` in a child, and fails if it fails.
pub(crate) fn alone(test: &str, measure: impl FnOnce()) {
    if is_child(test) {
        return measure();
    }
    let output = command(test, ":").output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test} in its own process:\n{text}{errors}");
}

/// A child that serves while its parent plays the clients. It ends when its input does.
pub(crate) struct Serving {
    child: Child,
    lines: Receiver<String>,
}

impl Serving {
    /// Starts the child under `limits`, a shell command such as `ulimit -n 64`.
    pub(crate) fn start(test: &str, limits: &str) -> Self {
        let mut child = command(test, limits).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        // Ends with the child's output.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The numbers on the next line that begins with `word`.
    pub(crate) fn numbers(&mut self, word: &str) -> Vec<u64> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a line of the child");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.split_whitespace().map(|number| number.parse().expect("a number")).collect();
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What one line of `/proc/self/status` says, in bytes.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Resident memory in bytes.
pub(crate) fn resident() -> u64 {
    status("VmRSS")
}

/// Memory asked for, whether touched or not, in bytes.
pub(crate) fn requested() -> u64 {
    status("VmData")
}

/// Open file descriptors.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

/// Processor time used so far, without opening a file to find out.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a billion"))
}
