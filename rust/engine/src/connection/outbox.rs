//! What a connection still has to send: encoded bytes, and behind them at most one body that is read as the socket takes it.

use std::fs::File;
use std::io::{self, IoSlice};

use super::transport::Transport;
use crate::buffers::{give_write, take_write, with_stage_buffer};
use crate::exchange::BodySource;

/// Above this a sender is told to wait ([`Sent::Full`](crate::Sent::Full)).
pub(super) const WINDOW: usize = 256 * 1024;
/// Below this it is told to go on.
pub(super) const LOW_WATER: usize = 64 * 1024;
/// Smaller bodies are copied behind their head: one buffer and `write` beat two and `writev`.
const COPY_BELOW: usize = 2 * 1024;
/// A file or source is left after this much in one go, so that one fast reader does not hold a worker.
const BULK_TURN: u64 = 4 * 1024 * 1024;
/// The head of a file up to this long waits for it, so that both leave, and wake the client, together: 0.89 of the CPU, and 1.1 times
/// the requests per second. With a longer one the kernel's timers (BBR's pacing) take 4 times the CPU instead.
const SHORT_FILE: u64 = 64 * 1024;

#[derive(Default)]
pub(super) struct Outbox {
    buffer: Vec<u8>,
    sent: usize,
    /// Boxed: it is rare, and every idle connection has room for it.
    bulk: Option<Box<Bulk>>,
    /// Bytes the socket has taken since this was last set to 0.
    pub(super) written: u64,
    /// What [`Outbox::change`] has told of.
    counted: usize,
}

pub(super) enum Bulk {
    File { file: File, offset: u64, remaining: u64 },
    Source(Box<dyn BodySource>),
}

/// How far [`Outbox::write`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is written.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// There is more and the socket would take it, but others shall have their turn.
    Yielded,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.buffered() == 0 && self.bulk.is_none()
    }

    /// A body is queued: nothing may be appended before it is out.
    pub(super) fn has_bulk(&self) -> bool {
        self.bulk.is_some()
    }

    /// What is queued comes from a disk, which may take its time.
    pub(super) fn has_file(&self) -> bool {
        matches!(self.bulk.as_deref(), Some(Bulk::File { .. }))
    }

    /// What is in the buffer goes with the file behind it, whose head it is.
    fn is_before_short_file(&self) -> bool {
        matches!(self.bulk.as_deref(), Some(Bulk::File { remaining, .. }) if *remaining <= SHORT_FILE)
    }

    /// Bytes held in memory.
    pub(super) fn buffered(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// By how much [`Outbox::buffered`] has changed since this was last asked.
    pub(super) fn change(&mut self) -> i64 {
        let buffered = self.buffered();
        let before = std::mem::replace(&mut self.counted, buffered);
        buffered as i64 - before as i64
    }

    /// The buffer to append to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 {
            self.buffer = take_write();
        }
        &mut self.buffer
    }

    /// Queues a body behind what is in the buffer. An exchange has one body, so there is never a second.
    pub(super) fn set_bulk(&mut self, bulk: Bulk) {
        self.bulk = Some(Box::new(bulk));
    }

    /// Appends bytes, written at once without a copy where they are many and the socket takes them.
    pub(super) fn push(&mut self, transport: Option<&Transport>, bytes: &[u8], suffix: &[u8]) -> io::Result<()> {
        let mut skipped = 0;
        if let Some(transport) =
            transport.filter(|_| bytes.len() >= COPY_BELOW && self.bulk.is_none() && self.buffered() < LOW_WATER)
        {
            let pending = self.buffered();
            let slices = [IoSlice::new(&self.buffer[self.sent..]), IoSlice::new(bytes), IoSlice::new(suffix)];
            match transport.try_write_vectored(&slices) {
                Ok(written) => {
                    self.written += written as u64;
                    let of_buffer = written.min(pending);
                    self.sent += of_buffer;
                    skipped = written - of_buffer;
                }
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let (bytes_left, suffix_left) = (skipped.min(bytes.len()), skipped.saturating_sub(bytes.len()));
        if skipped < bytes.len() + suffix.len() {
            let buffer = self.buffer();
            buffer.extend_from_slice(&bytes[bytes_left..]);
            buffer.extend_from_slice(&suffix[suffix_left..]);
        } else if self.buffered() == 0 {
            self.release();
        }
        Ok(())
    }

    /// Writes what the socket takes.
    pub(super) fn write(&mut self, transport: &Transport) -> io::Result<Flushed> {
        let mut turn: u64 = 0;
        loop {
            while self.buffered() > 0 {
                let bytes = &self.buffer[self.sent..];
                let written =
                    if self.is_before_short_file() { transport.try_write_more(bytes) } else { transport.try_write(bytes) };
                match written {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        self.written += written as u64;
                        self.sent += written;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.compact();
                        return Ok(Flushed::Blocked);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.release();
            if self.bulk.is_none() {
                return Ok(Flushed::All);
            }
            if turn >= BULK_TURN {
                return Ok(Flushed::Yielded);
            }
            match self.write_bulk(transport) {
                Ok(written) => turn += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes once, though the socket has not said that it has room. True if it took anything.
    pub(super) fn write_at_once(&mut self, transport: &Transport) -> io::Result<bool> {
        let written = if self.buffered() > 0 {
            let written = transport.write_at_once(&self.buffer[self.sent..])?;
            self.sent += written;
            if self.buffered() == 0 {
                self.release();
            }
            written
        } else if let Some(Bulk::File { file, offset, remaining }) = self.bulk.as_deref_mut() {
            let count = usize::try_from((*remaining).min(BULK_TURN)).unwrap_or(usize::MAX);
            let written = transport.send_file_at_once(file, offset, count)?;
            *remaining -= written as u64;
            written
        } else {
            // A source that waits has its next piece in the buffer.
            0
        };
        self.written += written as u64;
        Ok(written > 0)
    }

    /// One step of the body: the buffer is empty.
    fn write_bulk(&mut self, transport: &Transport) -> io::Result<u64> {
        let (written, done) = match self.bulk.as_deref_mut() {
            None => (0, true),
            Some(Bulk::File { file, offset, remaining }) => {
                let count = usize::try_from((*remaining).min(BULK_TURN)).unwrap_or(usize::MAX);
                let written = if count == 0 { 0 } else { transport.try_send_file(file, offset, count)? };
                if written == 0 && *remaining > 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter than its declared length"));
                }
                self.written += written as u64;
                *remaining -= written as u64;
                (written, *remaining == 0)
            }
            Some(Bulk::Source(source)) => {
                let (buffer, counted) = (&mut self.buffer, &mut self.written);
                let written = with_stage_buffer(|piece| {
                    let length = source.read(piece);
                    if length == 0 && source.remaining() > 0 {
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended before its declared length"));
                    }
                    let written = match transport.try_write(&piece[..length]) {
                        Ok(written) => written,
                        Err(error) if is_temporary(&error) => 0,
                        Err(error) => return Err(error),
                    };
                    *counted += written as u64;
                    if written < length {
                        if buffer.capacity() == 0 {
                            *buffer = take_write();
                        }
                        buffer.extend_from_slice(&piece[written..length]);
                    }
                    Ok(length)
                })?;
                (written, source.remaining() == 0)
            }
        };
        if done {
            self.bulk = None;
        }
        Ok(written as u64)
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self { written: self.written, counted: self.counted, ..Self::default() };
    }

    /// Drops what was sent, so that a slow reader's buffer holds no more than twice the window. Only when it is half of the buffer:
    /// each byte is then moved once at most, however large the buffer and however small the pieces the socket takes.
    fn compact(&mut self) {
        if self.sent >= LOW_WATER && self.sent >= self.buffered() {
            self.buffer.drain(..self.sent);
            self.sent = 0;
            self.buffer.shrink_to(2 * self.buffer.len());
        }
    }

    /// Gives the empty buffer back to the thread.
    fn release(&mut self) {
        self.sent = 0;
        if self.buffer.capacity() > 0 {
            give_write(std::mem::take(&mut self.buffer));
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Outbox")
            .field("buffered", &self.buffered())
            .field("bulk", &self.bulk.is_some())
            .finish_non_exhaustive()
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
