//! The server core of httpkit-rs.
//!
//! Sans-IO protocol cores ([`http1`], [`websocket`]) are driven by connections that whoever has news polls; complete requests go
//! to an [`Application`], answers come back through an [`Exchange`]. This crate contains no unsafe code and knows no JVM.

mod application;
mod buffers;
mod clock;
mod config;
mod connection;
mod date;
mod dispatch;
mod exchange;
mod growth;
pub mod http1;
mod listener;
#[cfg(all(test, feature = "model"))]
#[allow(clippy::unwrap_used)]
mod model;
mod proxy;
mod registry;
mod remote_address;
mod repetition;
mod runtime;
mod server;
mod socket_file;
mod stats;
mod sync;
pub mod websocket;

pub use application::{
    Application, CloseCause, ExchangeId, FieldName, Flow, HeaderField, Message, MessageKind, Request, SocketEnd, SocketEndKind,
};
pub use config::{Listen, ServerConfig, Timeouts};
pub use dispatch::{Dispatch, Route, observe};
pub use exchange::{BodyPiece, BodySource, Exchange, Sent, UpgradeOptions, with_exchange};
pub use http1::{HEADER_NAMES, Headers, InvalidHead, Limits, Method, NameIndex, ResponseHead};
pub use proxy::ProxyProtocol;
pub use remote_address::{Address, InvalidNetwork, Network};
pub use runtime::{set_stack_size, set_thread_hooks};
pub use server::{GAUGES, Server, StartError};
pub use stats::{COUNTERS, Counter};
