//! Loads a WebSocket server from one thread: `bench-ws-load MODE PORT PATH CONNECTIONS BYTES`.
//!
//! * `echo`: each connection sends a text of BYTES bytes, waits for the same text, and sends the next.
//! * `broadcast`: the connections listen on PATH; one more, on `/shout`, sends a text that the server has to send to all of
//!   them, and the next when the last has it.
//! * `idle`: each connection has sent one text and got it back; then nothing.
//!
//! Prints a line of JSON when all connections are open. For every line on standard input it loads the server for so many
//! seconds and prints another; it ends with standard input. An answer with a wrong byte ends it at once, with status 1.

mod broadcast;
mod echo;
mod figures;
mod idle;
mod link;

use std::io::{Error, ErrorKind, Result, Write, stdin, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What to load, as given on the command line.
struct Target {
    port: u16,
    path: String,
    connections: usize,
    bytes: usize,
}

/// Connections that are open and can be loaded.
trait Load {
    /// Loads the server for that long and returns what it measured, as JSON.
    fn run(&mut self, length: Duration) -> Result<String>;
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn open(arguments: &[String]) -> Result<(Box<dyn Load>, usize)> {
    let [mode, port, path, connections, bytes] = arguments else {
        return Err(invalid("usage: bench-ws-load echo|broadcast|idle PORT PATH CONNECTIONS BYTES"));
    };
    let number = |text: &str| text.parse().map_err(|_| invalid(&format!("{text} is not a number")));
    let port = port.parse().map_err(|_| invalid(&format!("{port} is not a port")))?;
    let target = Target { port, path: path.clone(), connections: number(connections)?, bytes: number(bytes)? };
    let load: Box<dyn Load> = match mode.as_str() {
        "echo" => Box::new(echo::Echo::open(&target)?),
        "broadcast" => Box::new(broadcast::Broadcast::open(&target)?),
        "idle" => Box::new(idle::Idle::open(&target)?),
        other => return Err(invalid(&format!("{other} is not a mode"))),
    };
    Ok((load, target.connections))
}

fn print(line: &str) -> Result<()> {
    let mut output = stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let began = Instant::now();
    let (mut load, connections) = open(&arguments)?;
    print(&format!(r#"{{"opened":{connections},"open_micros":{}}}"#, began.elapsed().as_micros()))?;
    for line in stdin().lines() {
        let line = line?;
        let seconds = line.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        print(&load.run(seconds.ok_or_else(|| invalid(&format!("{line:?} is not a number of seconds")))?)?)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-ws-load: {error}");
            ExitCode::FAILURE
        }
    }
}
