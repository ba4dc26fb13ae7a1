//! The binary layout of everything that crosses the boundary in bulk; `java/org/httpkit/engine/Wire.java` is its mirror.
//!
//! Pure and safe: blocks in, values out, and the other way round. All integers are little-endian. A block that breaks
//! the layout is a [`Malformed`] error, never a panic. The files of `test/vectors` hold one example of each kind,
//! read by the tests of both languages.
//!
//! Request block (here to Java, in the worker's direct buffer):
//!
//! | offset | type | content |
//! |---|---|---|
//! | 0 | u8 | method, [`httpkit_engine::Method`] as a number |
//! | 1 | u8 | flags, see [`request`] |
//! | 2 | u16 | header count |
//! | 4, 8 | u32 | URI length, query length |
//! | 12, 14 | u16 | server name length, remote address length |
//! | 16 | i32 | server port |
//! | 20 | u32 | body length |
//! | 24 | i64 | when it was received: what `System.nanoTime` would have returned, 0 where this side does not know |
//! | 32 | | URI, query, server name, remote address; per header u8 name index (0: u16 length, bytes), u32 length, value; inline body |
//!
//! Response block (Java to here, in the direct buffer or a `byte[]`):
//!
//! | offset | type | content |
//! |---|---|---|
//! | 0 | u16 | status |
//! | 2 | u8 | flags: 1 = the declared length is valid |
//! | 4 | u16 | header count |
//! | 8 | u32 | inline body length |
//! | 12 | u64 | declared length |
//! | 20 | | per header u16 length, name, u32 length, value; inline body |
//!
//! Configuration block (argument of `Native.start`): see [`configuration`].

mod configuration;
mod cursor;
mod request;
mod response;
#[cfg(test)]
mod vectors;

pub(crate) use configuration::read_configuration;
pub(crate) use cursor::Malformed;
pub(crate) use request::RequestBlock;
pub(crate) use response::ResponseBlock;
