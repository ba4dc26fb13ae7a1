//! HTTP/1.1 without I/O (RFC 9112): bytes in, events out; answers in, bytes out.
//!
//! Nothing here knows a socket, a clock, a thread or a JVM, so every rule is tested by a table of byte strings.
//! A message that breaks a rule is a [`Rejection`], never a guess: one answer, then the connection closes.

mod answer;
mod body;
mod chunked;
mod framing;
mod header_names;
mod host;
mod latin1;
mod machine;
mod method;
mod rejection;
mod request_head;
mod request_line;
mod response_head;
mod scanner;
mod status;
mod streamed;

pub use answer::Framed;
pub use header_names::{HEADER_NAMES, NameIndex, name};
pub use machine::{Collected, Http1, Limits, Next, Received};
pub use method::Method;
pub use rejection::Rejection;
pub use request_head::{HeaderStorage, MAX_HEADERS, RequestHead};
pub use response_head::{Headers, InvalidHead, ResponseBody, ResponseHead, ResponseStyle, encode_head};
