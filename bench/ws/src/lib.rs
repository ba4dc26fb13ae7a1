//! What the load client and the floor server have in common: frames and the handshake of RFC 6455.
//!
//! Only what the two need: text messages in one frame each, no control frames, no extensions.

pub mod frame;
pub mod handshake;
