//! One connection: read into the thread's buffer, unmask in place, write from there.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bench_ws::frame::{self, MASK};
use bench_ws::handshake::{ACCEPT, HEAD_END, KEY};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::Listeners;

/// Of each thread, not of each connection. The longest frame that is echoed has to fit.
const BUFFER_BYTES: usize = 64 * 1024;
const MAX_HEAD_BYTES: usize = 8192;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// What a connection's path makes of its messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Echo,
    Listen,
    Shout,
}

pub struct Connection {
    reader: OwnedReadHalf,
    writer: Option<OwnedWriteHalf>,
    /// The start of a frame whose rest has not come yet.
    held: Vec<u8>,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
}

/// Answers the handshake.
pub async fn open(mut stream: TcpStream) -> Result<(Connection, Role)> {
    let mut head = Vec::new();
    while !head.ends_with(HEAD_END) {
        if stream.read_buf(&mut head).await? == 0 || head.len() > MAX_HEAD_BYTES {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    if !head.contains(KEY) {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
        return Err(ErrorKind::InvalidData.into());
    }
    let role = match head.split(' ').nth(1) {
        Some("/listen") => Role::Listen,
        Some("/shout") => Role::Shout,
        _ => Role::Echo,
    };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    let (reader, writer) = stream.into_split();
    Ok((Connection { reader, writer: Some(writer), held: Vec::new(), unsent: Vec::new() }, role))
}

impl Connection {
    /// Answers messages until the client closes the connection or breaks the protocol.
    pub async fn serve(mut self, role: Role, listeners: Listeners) {
        if role == Role::Listen {
            listeners.lock().expect("no panic holds the lock").extend(self.writer.take());
        }
        while let Ok(true) = poll_fn(|context| self.poll_messages(context, role, &listeners)).await {
            if !self.unsent.is_empty() && self.write_unsent().await.is_err() {
                return;
            }
        }
    }

    async fn write_unsent(&mut self) -> Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        match &mut self.writer {
            Some(writer) => writer.write_all(&unsent).await,
            None => Ok(()),
        }
    }

    /// Reads once and answers every whole message; false at the end of the stream.
    ///
    /// `poll_read` rather than `readable` and `try_read`: it knows that a short read has drained the socket.
    fn poll_messages(&mut self, context: &mut Context<'_>, role: Role, listeners: &Listeners) -> Poll<Result<bool>> {
        BUFFER.with_borrow_mut(|buffer| {
            let held = self.held.len();
            buffer[..held].copy_from_slice(&self.held);
            let mut room = ReadBuf::new(&mut buffer[held..]);
            ready!(Pin::new(&mut self.reader).poll_read(context, &mut room))?;
            let read = room.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(false));
            }
            let end = held + read;
            let mut start = 0;
            while let Some(layout) = frame::layout(&buffer[start..end]).filter(|layout| layout.end <= end - start) {
                if !layout.is_text {
                    return Poll::Ready(Err(ErrorKind::InvalidData.into()));
                }
                self.answer(&mut buffer[start..start + layout.end], layout.payload_start, role, listeners)?;
                start += layout.end;
            }
            if end - start == buffer.len() {
                return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "a frame that does not fit")));
            }
            // Assigned, not cleared: an idle connection keeps no memory.
            self.held = buffer[start..end].to_vec();
            Poll::Ready(Ok(true))
        })
    }

    /// `message` is a client's frame. A server's head is four bytes shorter, so the answer is made where the message lies.
    fn answer(&mut self, message: &mut [u8], payload_start: usize, role: Role, listeners: &Listeners) -> Result<()> {
        let mask: [u8; MASK.len()] = *message[..payload_start].last_chunk().expect("a mask before the payload");
        let payload = &mut message[payload_start..];
        frame::unmask(payload, mask);
        if std::str::from_utf8(payload).is_err() {
            return Err(ErrorKind::InvalidData.into());
        }
        let (head, head_bytes) = frame::text_head(payload.len(), 0);
        let start = payload_start - head_bytes;
        message[start..payload_start].copy_from_slice(&head[..head_bytes]);
        let answer = &message[start..];
        match role {
            Role::Echo => self.echo(answer)?,
            Role::Listen => {}
            // One thread writes to all sockets itself. Who does not take it all at once is dropped.
            Role::Shout => listeners
                .lock()
                .expect("no panic holds the lock")
                .retain(|listener| listener.try_write(answer).is_ok_and(|count| count == answer.len())),
        }
        Ok(())
    }

    fn echo(&mut self, answer: &[u8]) -> Result<()> {
        let Some(writer) = self.writer.as_ref().filter(|_| self.unsent.is_empty()) else {
            self.unsent.extend_from_slice(answer);
            return Ok(());
        };
        let sent = match writer.try_write(answer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&answer[sent..]);
        Ok(())
    }
}
