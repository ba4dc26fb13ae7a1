//! Buffers belong to threads, not to connections: a connection owns bytes only while it holds a partial request or unsent output.
//! An idle connection therefore costs about 1 KB instead of the 10 KB of one that keeps its read buffer.

use std::cell::Cell;
use std::thread::LocalKey;

/// One read takes at most this much; large uploads arrive in few reads.
const READ_SIZE: usize = 128 * 1024;
/// Room for the head and small body of an answer, or for a batch of pipelined ones.
const WRITE_SIZE: usize = 16 * 1024;
/// A buffer that grew beyond this is freed rather than kept.
const WRITE_KEEP: usize = 256 * 1024;

thread_local! {
    static READ: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static STAGE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static WRITE: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// Runs `f` with the thread's read buffer. Nested calls get a fresh one.
pub(crate) fn with_read_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    with_buffer(&READ, f)
}

/// Runs `f` with the buffer through which bodies pass on their way out: an answer may be written while the read buffer is in use.
pub(crate) fn with_stage_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    with_buffer(&STAGE, f)
}

fn with_buffer<R>(cell: &'static LocalKey<Cell<Option<Box<[u8]>>>>, f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = cell.take().unwrap_or_else(|| vec![0; READ_SIZE].into_boxed_slice());
    let result = f(&mut buffer);
    cell.set(Some(buffer));
    result
}

/// An empty buffer for output.
pub(crate) fn take_write() -> Vec<u8> {
    WRITE.take().unwrap_or_else(|| Vec::with_capacity(WRITE_SIZE))
}

/// Gives a buffer back, from whatever thread.
pub(crate) fn give_write(mut buffer: Vec<u8>) {
    if (WRITE_SIZE..=WRITE_KEEP).contains(&buffer.capacity()) {
        buffer.clear();
        WRITE.set(Some(buffer));
    }
}
