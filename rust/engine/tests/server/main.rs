//! The engine over real sockets: connections, deadlines, backpressure, addresses, and the life of a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod backpressure;
mod crowds;
mod deadlines;
mod departures;
mod drain;
mod exchanges;
mod framing;
mod keep_alive;
mod lingering;
mod listening;
mod pipelining;
mod refusals;
mod repetition;
mod slow_clients;
mod streamed_bodies;
mod stuck;
mod unfinished;
mod websocket;
mod websocket_end;
