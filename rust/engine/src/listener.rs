//! The listening socket: bound before `start` returns, closed by `drain` on the caller's thread.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::{Listen, ServerConfig};
use crate::connection::{Connection, Drive, Stop, Transport};
use crate::remote_address::Address;
use crate::runtime::Place;
use crate::server::ServerState;
use crate::socket_file::SocketFile;

/// Connections accepted before other tasks have their turn.
const TURN: u32 = 32;
/// The pause after EMFILE and its like: descriptors come back when connections end, not by asking again at once.
const BACK_OFF: Duration = Duration::from_millis(75);
/// At most one report of a failed accept in this time.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// After so long without a byte the system probes a peer, every sixth of it (SO_KEEPALIVE). With Linux's nine probes one that vanished
/// without a FIN is found after 150 seconds.
const KEEPALIVE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Listener {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: Option<ListenSocket>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// Binds and listens. Returns the port of a TCP listener. Must run inside a reactor.
    pub(crate) fn bind(config: &ServerConfig) -> io::Result<(Self, Option<u16>)> {
        let (socket, port) = match &config.listen {
            Listen::Tcp { address, dual_stack } => {
                let listener = TcpListener::from_std(bind_tcp(config, *address, *dual_stack)?.into())?;
                let port = listener.local_addr()?.port();
                (ListenSocket::Tcp(listener), Some(port))
            }
            Listen::Unix(path) => {
                let (socket, file) = SocketFile::bind(path, |socket| listen(config, socket))?;
                (ListenSocket::Unix(UnixListener::from_std(socket.into())?, file), None)
            }
        };
        Ok((Self { inner: Mutex::new(Inner { socket: Some(socket), waker: None }) }, port))
    }

    /// Closes the socket, after which nothing is accepted, and before that does `last`. Idempotent.
    pub(crate) fn close(&self, last: impl FnOnce()) {
        let (socket, waker) = {
            let mut inner = self.inner.lock();
            last();
            (inner.socket.take(), inner.waker.take())
        };
        if let Some(ListenSocket::Unix(_, Some(file))) = &socket {
            file.remove();
        }
        drop(socket);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next connection, in the listener's own reactor; `None` once the listener is closed. `server` counts it before that.
    fn poll_accept(&self, server: &ServerState, context: &mut Context<'_>) -> Poll<Option<io::Result<(Transport, Address)>>> {
        let mut inner = self.inner.lock();
        let accepted = match &inner.socket {
            None => return Poll::Ready(None),
            Some(ListenSocket::Tcp(listener)) => {
                listener.poll_accept(context).map_ok(|(stream, peer)| (Transport::Tcp(stream), Address::from(peer)))
            }
            Some(ListenSocket::Unix(listener, _)) => {
                listener.poll_accept(context).map_ok(|(stream, _)| (Transport::Unix(stream), Address::Unix))
            }
        };
        match accepted {
            Poll::Pending => inner.waker = Some(context.waker().clone()),
            Poll::Ready(Ok(_)) => server.connection_begins(),
            Poll::Ready(Err(_)) => {}
        }
        accepted.map(Some)
    }

    /// A connection that the system has made already, whatever the poller knows; counted likewise. Must run inside a reactor.
    fn accept_now(&self, server: &ServerState) -> io::Result<(Transport, Address)> {
        let inner = self.inner.lock();
        let (socket, peer) = match &inner.socket {
            None => return Err(io::ErrorKind::NotConnected.into()),
            Some(ListenSocket::Tcp(listener)) => SockRef::from(listener).accept()?,
            Some(ListenSocket::Unix(listener, _)) => SockRef::from(listener).accept()?,
        };
        socket.set_nonblocking(true)?;
        let accepted = match peer.as_socket() {
            Some(peer) => (Transport::Tcp(TcpStream::from_std(socket.into())?), Address::from(peer)),
            None => (Transport::Unix(UnixStream::from_std(socket.into())?), Address::Unix),
        };
        server.connection_begins();
        Ok(accepted)
    }
}

fn bind_tcp(config: &ServerConfig, address: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    if dual_stack && address.is_ipv4() && address.ip().is_unspecified() {
        if let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) {
            if socket.set_only_v6(false).is_ok() {
                let wildcard = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
                match listen_on(config, socket, wildcard) {
                    // IPv6 may be compiled in and switched off.
                    Err(error)
                        if error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported => {}
                    result => return result,
                }
            }
        }
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Java's `::` takes IPv4, too, whatever net.ipv6.bindv6only says. Where a system cannot, it takes IPv6 alone.
        let _ = socket.set_only_v6(false);
    }
    listen_on(config, socket, address)
}

fn listen_on(config: &ServerConfig, socket: Socket, address: SocketAddr) -> io::Result<Socket> {
    socket.set_reuse_address(config.reuse_address)?;
    socket.set_reuse_port(config.reuse_port)?;
    if config.receive_buffer > 0 {
        socket.set_recv_buffer_size(config.receive_buffer as usize)?;
    }
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 6))?;
    socket.bind(&address.into())?;
    listen(config, &socket)?;
    Ok(socket)
}

fn listen(config: &ServerConfig, socket: &Socket) -> io::Result<()> {
    rustix::net::listen(socket.as_fd(), i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)
}

/// Gives way to the other tasks of this thread. Not tokio's `yield_now`, and not its budget of 128 operations a poll: what these keep back
/// to wake the task with stays on this thread until it sleeps, and the next task may hold it for as long as it likes (a handler in
/// place, a spare that parks). A wake goes to the queue, from which another thread can take it.
async fn give_way() {
    let mut has_given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Accepts until the listener is closed.
pub(crate) async fn accept_forever(server: Arc<ServerState>) {
    let mut reported: Option<Instant> = None;
    let mut count: u32 = 0;
    loop {
        while !server.has_room() && !server.is_draining() {
            server.room.notified().await;
        }
        let Some(accepted) = std::future::poll_fn(|context| server.listener.poll_accept(&server, context)).await else { return };
        count = count.wrapping_add(1);
        match accepted.and_then(|(transport, peer)| begin(&server, transport, peer, count)) {
            Ok(()) => {}
            // The client was gone before it was accepted, or a signal came: nothing is wrong with the listener.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                if reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
                    reported = Some(Instant::now());
                    server.application.accept_failed(&error);
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        // Not with a connection in hand: others may take long, and the server may drain meanwhile.
        if count % TURN == 0 {
            give_way().await;
        }
    }
}

/// Accepts what the system has connected already, on Linux one more than the backlog says: closing the listener would reset it, requests and
/// all. Must run inside the first reactor.
pub(crate) fn accept_rest(server: &Arc<ServerState>) {
    for count in 0..=server.config.backlog {
        let accepted = if server.has_room() { server.listener.accept_now(server) } else { return };
        // Whatever is wrong, the listener is about to be closed.
        if accepted.and_then(|(transport, peer)| begin(server, transport, peer, count)).is_err() {
            return;
        }
    }
}

/// Gives a connection, which has been counted, to a reactor.
fn begin(server: &Arc<ServerState>, transport: Transport, peer: Address, count: u32) -> io::Result<()> {
    let begun = give(server, transport, peer, count);
    if begun.is_err() {
        server.connection_ended();
    }
    begun
}

fn give(server: &Arc<ServerState>, mut transport: Transport, peer: Address, count: u32) -> io::Result<()> {
    if let Transport::Tcp(stream) = &transport {
        // Answers leave whole; waiting for an acknowledgement (Nagle) would only delay the second of two.
        let _ = stream.set_nodelay(true);
    }
    let (place, reactor) = Place::take().ok_or(io::ErrorKind::NotConnected)?;
    // It is registered with the first.
    if reactor.number() != 0 {
        let _context = reactor.enter();
        transport = transport.register_again()?;
    }
    let connection = Connection::open(server, transport, peer, place, count);
    if server.is_draining() {
        connection.stop(Stop::Drain, Instant::now());
    }
    reactor.spawn(Drive::new(connection));
    Ok(())
}
