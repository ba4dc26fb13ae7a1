//! What a server is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::dispatch::Dispatch;
use crate::http1::Limits;
use crate::proxy::ProxyProtocol;
use crate::remote_address::Network;

/// Everything a [`Server`](crate::Server) needs to know. Defaults are the application's business.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen.
    pub listen: Listen,
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_RCVBUF` in bytes, 0 for the system's default.
    pub receive_buffer: u32,
    /// Connections the kernel queues before they are accepted.
    pub backlog: u32,
    /// Open connections beyond which none is accepted, 0 for no cap.
    pub max_connections: u32,
    /// Limits on requests.
    pub limits: Limits,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Whether connections begin with a PROXY line.
    pub proxy_protocol: ProxyProtocol,
    /// Take the client's address from `X-Forwarded-For`, whoever sent it (http-kit's default; spoofable).
    pub legacy_remote_address: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Where handlers run.
    pub dispatch: Dispatch,
    /// How long a handler may run in place before its route counts as slow.
    pub in_place_budget: Duration,
    /// Bytes of a WebSocket message, all its fragments together (Close 1009 beyond).
    pub max_message: u32,
    /// Bytes that may wait for one client of a stream or WebSocket before it is cut, 0 for no limit. One message is always taken.
    pub max_pending: u32,
    /// Bytes that may wait for all clients together, 0 for no limit. Beyond it a client for which more than 256 KiB wait is cut
    /// likewise.
    pub max_pending_total: u64,
    /// Bytes that bodies and messages which are not complete may hold together, 0 for no limit. Beyond it those that need more than
    /// 256 KiB are refused (503, Close 1013).
    pub max_received_total: u64,
    /// A period in milliseconds: a WebSocket's client that sends nothing but pongs in a whole one is pinged, and cut if it sends no byte
    /// in the next; 0 for never.
    pub ping_interval_millis: u32,
    /// Value of `Server`; `None` sends none.
    pub server_header: Option<Vec<u8>>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP port.
    Tcp {
        /// The address to bind; its port is 0 for any free one.
        address: SocketAddr,
        /// For the IPv4 wildcard: bind the IPv6 wildcard for both families where the system has IPv6, as Java does.
        dual_stack: bool,
    },
    /// A Unix domain socket.
    Unix(PathBuf),
}

/// Deadlines; zero means none. None of them touches an exchange that waits for the application.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the first byte of a head (or from accept) to its last.
    pub header: Duration,
    /// Between two reads of a body, or of a WebSocket message.
    pub body: Duration,
    /// Without progress while output waits for the client.
    pub write: Duration,
    /// Between an answer and the next request.
    pub keep_alive: Duration,
}
