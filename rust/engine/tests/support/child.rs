//! Runs a test again in a process of its own: memory, processor time and file descriptors are counted per process.

use std::process::Command;

const CHILD: &str = "HTTPKIT_ENGINE_TEST_CHILD";

/// True in the child that runs this test. Otherwise runs that child, under `limits` (a shell command such as `ulimit -n 120`),
/// and fails if it fails.
pub(crate) fn is_child(test: &str, limits: &str) -> bool {
    if std::env::var(CHILD).is_ok_and(|running| running == test) {
        return true;
    }
    let program = std::env::current_exe().expect("this program");
    let script = format!("{limits}; exec \"$0\" --exact \"$1\" --nocapture --test-threads 1");
    let output = Command::new("sh").arg("-c").arg(script).arg(program).arg(test).env(CHILD, test).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test} failed in its own process:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Resident memory in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Processor time used so far, in clock ticks of 10 ms.
pub(crate) fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    fields[11].parse::<u64>().expect("user time") + fields[12].parse::<u64>().expect("system time")
}
