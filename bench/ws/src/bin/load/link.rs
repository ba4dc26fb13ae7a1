//! One connection: how it is opened, and how a message that is known beforehand is sent and received.
//!
//! What a server sends must equal the expected frame byte by byte, so nothing is parsed: a comparison is cheaper, and the
//! client's processor time is part of what the server competes with.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bench_ws::handshake;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

/// Longer than any pause of a healthy server: what is not there by then will not come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Room for the longest answer that one read can bring.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// One client address would run out of ports: connections come from 127.0.0.2 and up, in turn.
const SOURCE_ADDRESSES: usize = 8;
const FIRST_SOURCE: u8 = 2;

/// Opens the WebSocket `number`. The connection blocks until `set_nonblocking`.
pub fn connect(port: u16, path: &str, number: usize) -> Result<std::net::TcpStream> {
    let source = Ipv4Addr::new(127, 0, 0, FIRST_SOURCE + (number % SOURCE_ADDRESSES) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket.connect_timeout(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    handshake::open(&mut stream, path)?;
    Ok(stream)
}

/// Opens all WebSockets, one after the other.
pub fn connect_all(port: u16, path: &str, count: usize) -> Result<Vec<std::net::TcpStream>> {
    (0..count)
        .map(|number| {
            connect(port, path, number).map_err(|error| Error::new(error.kind(), format!("connection {number}: {error}")))
        })
        .collect()
}

/// A connection that does not block, and how far its messages are.
pub struct Link {
    stream: mio::net::TcpStream,
    received: usize,
    sent: usize,
}

impl Link {
    pub fn new(stream: std::net::TcpStream) -> Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream: mio::net::TcpStream::from_std(stream), received: 0, sent: 0 })
    }

    /// Asks for events under this number. Edges only: they cost nothing while both directions flow.
    pub fn register(&mut self, registry: &Registry, number: usize) -> Result<()> {
        self.stream.register(registry, Token(number), Interest::READABLE | Interest::WRITABLE)
    }

    /// Sends what is left of the frame; true when all of it is out. Otherwise to be called again after an event.
    pub fn send(&mut self, frame: &[u8]) -> Result<bool> {
        while self.sent < frame.len() {
            match self.stream.write(&frame[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        Ok(true)
    }

    /// Whether part of a frame is still to be sent.
    pub fn is_sending(&self) -> bool {
        self.sent > 0
    }

    /// Reads what is there; true when the whole frame has arrived, and nothing behind it.
    pub fn receive(&mut self, frame: &[u8], buffer: &mut [u8]) -> Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed a connection")),
                Ok(count) => {
                    self.compare(frame, &buffer[..count])?;
                    // A short read tells that there is no more; later bytes are a new edge.
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let is_whole = self.received == frame.len();
        if is_whole {
            self.received = 0;
        }
        Ok(is_whole)
    }

    fn compare(&mut self, frame: &[u8], piece: &[u8]) -> Result<()> {
        let end = self.received + piece.len();
        if frame.get(self.received..end) != Some(piece) {
            let start = &piece[..piece.len().min(64)];
            let message = format!("a wrong answer at byte {}: {:?}", self.received, String::from_utf8_lossy(start));
            return Err(Error::new(ErrorKind::InvalidData, message));
        }
        self.received = end;
        Ok(())
    }

    /// Whether the connection is open and has nothing to read.
    pub fn is_idle(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}
