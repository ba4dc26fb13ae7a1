//! WebSocket conformance of the protocol core, without I/O: tables of violations and close codes, fragmentation,
//! limits and the close handshake. Each input is played whole, one byte at a time and cut in two at every place; what is delivered
//! must be the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closing;
mod driver;
mod frames;
mod messages;
mod naive;
mod properties;
mod violations;
