//! WebSocket without I/O (RFC 6455, the server's side): bytes in, events out; messages in, frames out.
//!
//! Nothing here knows a socket, a clock, a thread or a JVM. No extension is negotiated, so every reserved bit is a violation. What
//! is held grows with the bytes received, never with the length a frame declares, and a message that lies whole in the input is
//! handed out where it lies.

mod close;
mod close_code;
mod decoder;
mod encoder;
mod frame_head;
mod machine;
mod mask;
mod opcode;
mod utf8;
mod violation;

pub use close::{Closed, InvalidClose, MAX_REASON, State};
pub use close_code::CloseCode;
pub use encoder::{ControlTooLong, FrameHeader};
pub(crate) use encoder::{MAX_CONTROL, push_frame};
pub use machine::{Event, Received, WebSocket};
pub use mask::unmask;
pub use opcode::Opcode;
pub use utf8::Utf8;
pub use violation::Violation;
