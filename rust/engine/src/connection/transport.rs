//! The byte stream under a connection. Kernel sockets only today; anything that can poll a read and try a write fits.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(target_os = "linux")]
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::remote_address::Address;

#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a socket knows of its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    /// It sends no more, and may still read.
    Finished,
    /// It has reset the connection, or does not answer any more.
    Gone,
}

#[cfg(target_os = "linux")]
const FINISHED: PollFlags = PollFlags::RDHUP;
#[cfg(target_os = "linux")]
const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP);
/// Elsewhere only a read tells, and `HUP` may mean no more than that the peer sends no more.
#[cfg(not(target_os = "linux"))]
const FINISHED: PollFlags = PollFlags::empty();
#[cfg(not(target_os = "linux"))]
const GONE: PollFlags = PollFlags::ERR;

impl Transport {
    /// Leaves the poller it is registered with for that of the reactor this thread has entered.
    pub(crate) fn register_again(self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Self::Unix(stream) => Self::Unix(UnixStream::from_std(stream.into_std()?)?),
        })
    }

    /// Reads once. `poll_read`, not readiness followed by `try_read`: a short read tells tokio that the socket is drained, which
    /// saves the read that would say so with EAGAIN (0.4 microseconds a request).
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    pub(super) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(context),
            Self::Unix(stream) => stream.poll_write_ready(context),
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// As [`Transport::try_write`], for bytes that more will follow at once: they leave in one packet.
    #[cfg(target_os = "linux")]
    pub(super) fn try_write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, || Ok(rustix::net::send(stream, bytes, flags)?)),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn try_write_more(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Sends part of a file without bringing it into user space.
    #[cfg(target_os = "linux")]
    pub(super) fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        let send = || self.send_file_at_once(file, offset, count);
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, send),
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, send),
        }
    }

    /// Elsewhere `sendfile` differs from system to system; a copy through a buffer serves all.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn try_send_file(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let mut piece = [0; 16 * 1024];
        let wanted = count.min(piece.len());
        let read = file.read_at(&mut piece[..wanted], *offset)?;
        let written = if read == 0 { 0 } else { self.try_write(&piece[..read])? };
        *offset += written as u64;
        Ok(written)
    }

    /// As [`Transport::try_write`], whatever the poller knows of the socket.
    #[cfg(target_os = "linux")]
    pub(super) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self.socket(), bytes, SendFlags::NOSIGNAL)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }

    /// Likewise for a part of a file.
    #[cfg(target_os = "linux")]
    pub(super) fn send_file_at_once(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(&*self.socket(), file, Some(offset), count)?)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn send_file_at_once(&self, file: &File, offset: &mut u64, count: usize) -> io::Result<usize> {
        self.try_send_file(file, offset, count)
    }

    /// Whether the peer is still there, however much of what it sent has not been read.
    pub(super) fn presence(&self) -> Presence {
        let gone = match self {
            Self::Tcp(_) => GONE,
            // Says so as soon as its peer has closed it, and keeps what that has sent.
            Self::Unix(_) => PollFlags::empty(),
        };
        let events = self.events(FINISHED);
        if events.intersects(gone) {
            Presence::Gone
        } else if events.intersects(FINISHED | GONE) {
            Presence::Finished
        } else {
            Presence::Present
        }
    }

    /// Whether the peer has sent what has not been read, its end included.
    pub(super) fn has_input(&self) -> bool {
        self.events(PollFlags::IN).intersects(PollFlags::IN)
    }

    /// Those of the events that are there now, whatever the poller knows, and errors.
    fn events(&self, wanted: PollFlags) -> PollFlags {
        let socket = self.socket();
        let mut sockets = [PollFd::new(&*socket, wanted)];
        match poll(&mut sockets, Some(&Timespec::default())) {
            Ok(_) => sockets[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(super) fn shutdown_write(&self) {
        // An error means that the peer is gone, which the next read finds.
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Makes the coming close a reset: the peer must not take a cut answer for a complete one.
    pub(super) fn reset_on_close(&self) {
        if let Self::Tcp(_) = self {
            let _ = self.socket().set_linger(Some(std::time::Duration::ZERO));
        }
    }

    pub(super) fn local_address(&self) -> Option<Address> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok().map(Address::from),
            Self::Unix(_) => Some(Address::Unix),
        }
    }

    fn socket(&self) -> socket2::SockRef<'_> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream),
            Self::Unix(stream) => socket2::SockRef::from(stream),
        }
    }
}
