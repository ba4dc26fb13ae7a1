//! A client that reads exactly one response at a time, so that a byte too many or too few is found.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};

use super::PATIENCE;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A FIN: nothing is missing.
    Closed,
    /// A reset: something is.
    Reset,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("sent");
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.response()
    }

    /// Opens a WebSocket.
    pub(crate) fn upgrade(&mut self, path: &str) {
        self.send(upgrade_request(path));
        assert_eq!(self.head().status, 101);
    }

    /// Sends a frame, masked, with these first byte and payload.
    pub(crate) fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(frame(first, payload));
    }

    /// The next frame of the server: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.take(2);
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))),
            127 => u64::from_be_bytes(self.take(8).try_into().expect("eight bytes")),
            length => u64::from(length),
        };
        (head[0], self.take(usize::try_from(length).expect("a length")))
    }

    /// No more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shut down");
    }

    /// The next response.
    pub(crate) fn response(&mut self) -> Response {
        self.read_response(false)
    }

    /// The next response, to a HEAD request.
    pub(crate) fn head_response(&mut self) -> Response {
        self.read_response(true)
    }

    fn read_response(&mut self, no_body: bool) -> Response {
        let mut response = self.head();
        if no_body || response.status < 200 || matches!(response.status, 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding").is_some() {
            assert_eq!(response.header("content-length"), None, "one framing, not two");
            response.body = self.chunks();
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            response.body = self.take(length);
        } else {
            assert_eq!(self.rest(&mut response.body), Ending::Closed);
        }
        response
    }

    /// The next head.
    pub(crate) fn head(&mut self) -> Response {
        while find(&self.buffer, b"\r\n\r\n").is_none() {
            assert!(self.fill(), "the connection ended inside a head: {:?}", self.buffer.escape_ascii().to_string());
        }
        let end = find(&self.buffer, b"\r\n\r\n").expect("found before");
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let headers = lines.map(|line| line.split_once(": ").expect("a field")).map(|(name, value)| (name.into(), value.into()));
        Response { status: status[..3].parse().expect("a status"), headers: headers.collect(), body: Vec::new() }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill(), "the connection ended {} bytes early", length - self.buffer.len());
        }
        self.buffer.drain(..length).collect()
    }

    /// The data of one chunk, empty at the end of the body.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        while find(&self.buffer, b"\r\n").is_none() {
            assert!(self.fill(), "the connection ended inside a chunk size");
        }
        let end = find(&self.buffer, b"\r\n").expect("found before");
        let line = self.take(end + 2);
        let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).expect("ASCII"), 16).expect("a size");
        let data = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        data
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let data = self.chunk();
            if data.is_empty() {
                return body;
            }
            body.extend_from_slice(&data);
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self, into: &mut Vec<u8>) -> Ending {
        loop {
            into.append(&mut self.buffer);
            match self.read() {
                Ok(0) => return Ending::Closed,
                Ok(_) => {}
                Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => return Ending::Reset,
                Err(error) => panic!("waiting for the end: {error}"),
            }
        }
    }

    /// How the connection ends; panics if another byte comes before.
    pub(crate) fn ending(&mut self) -> Ending {
        let mut rest = Vec::new();
        let ending = self.rest(&mut rest);
        assert!(rest.is_empty(), "more than expected: {:?}", rest.escape_ascii().to_string());
        ending
    }

    /// Waits for a reset without reading: reading would make room, and the server would go on.
    pub(crate) fn wait_for_reset(&self) {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut sockets = [PollFd::new(&self.stream, PollFlags::empty())];
        let timeout = PATIENCE.try_into().expect("a timeout");
        assert_eq!(poll(&mut sockets, Some(&timeout)), Ok(1), "not reset");
        assert!(sockets[0].revents().intersects(PollFlags::ERR | PollFlags::HUP));
    }

    /// Waits until the connection has ended, however.
    pub(crate) fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        self.rest(&mut rest);
    }

    fn fill(&mut self) -> bool {
        match self.read() {
            Ok(length) => length > 0,
            Err(error) => panic!("reading: {error}"),
        }
    }

    fn read(&mut self) -> Result<usize, ErrorKind> {
        let mut piece = [0; 16 * 1024];
        let length = self.stream.read(&mut piece).map_err(|error| error.kind())?;
        self.buffer.extend_from_slice(&piece[..length]);
        Ok(length)
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub(crate) fn upgrade_request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A frame as a client sends it, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x12, 0x34, 0x56, 0x78];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
