//! A server with an application that does what the path of a request says, a client that reads one response at a time, and
//! children: processes of their own for what is measured or limited per process.
#![allow(dead_code)]

pub(crate) mod application;
pub(crate) mod child;
pub(crate) mod client;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use httpkit_engine::{Counter, Dispatch, Limits, Listen, ProxyProtocol, Server, ServerConfig, Timeouts};

use application::App;
use client::Client;

/// Nothing here takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// http-kit's limits, no deadlines, a free port of the loopback address.
pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        listen: Listen::Tcp { address: (Ipv4Addr::LOCALHOST, 0).into(), dual_stack: false },
        reuse_address: true,
        reuse_port: false,
        receive_buffer: 0,
        backlog: 1024,
        max_connections: 0,
        limits: Limits { max_body: 8 * 1024 * 1024, stream_above: u64::MAX, max_line: 8192, max_head: 65536, max_headers: 100 },
        timeouts: timeouts(0, 0, 0, 0),
        proxy_protocol: ProxyProtocol::Disable,
        legacy_remote_address: false,
        trusted_proxies: Vec::new(),
        dispatch: Dispatch::Pool,
        in_place_budget: Duration::from_micros(200),
        max_message: 1024 * 1024,
        max_pending: 16 * 1024 * 1024,
        max_pending_total: 0,
        max_received_total: 0,
        ping_interval_millis: 0,
        server_header: Some(b"test".to_vec()),
    }
}

/// Deadlines in milliseconds, 0 for none.
pub(crate) fn timeouts(header: u64, body: u64, write: u64, keep_alive: u64) -> Timeouts {
    let [header, body, write, keep_alive] = [header, body, write, keep_alive].map(Duration::from_millis);
    Timeouts { header, body, write, keep_alive }
}

/// Waits until the condition is true, for states that nobody announces.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// A running server; stopped when it goes out of scope.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) app: Arc<App>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = config();
        adjust(&mut config);
        let app = Arc::new(App::default());
        let server = Server::start(config, Arc::clone(&app) as _).expect("the server starts");
        Self { server, app }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.server.port().expect("a TCP server"))
    }

    /// A connection that is a WebSocket.
    pub(crate) fn open_websocket(&self, path: &str) -> Client {
        let mut client = self.connect();
        client.upgrade(path);
        client
    }

    /// Sends bytes, and waits until they have been read.
    pub(crate) fn deliver(&self, client: &mut Client, bytes: &[u8]) {
        let bytes_in = || self.server.stats()[Counter::BytesIn as usize];
        let before = bytes_in();
        client.send(bytes);
        eventually("all of it", || bytes_in() - before >= bytes.len() as u64);
    }

    /// Has every reactor answer something: what was read before has been dealt with by then.
    pub(crate) fn settle(&self) {
        let reactors = std::thread::available_parallelism().expect("a number").get();
        // New connections go where the fewest are.
        let mut clients: Vec<Client> = (0..2 * reactors).map(|_| self.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/a").status, 200));
    }

    /// The response to one request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> client::Response {
        let mut client = self.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.response()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.close();
    }
}
