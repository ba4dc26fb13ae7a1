//! Copying bytes out of and into Java arrays.
//!
//! Only region copies: they pin nothing, so a garbage collection may run at any time. Arrays are read before the engine
//! is called, never while one of its locks is held, because a copy may have to wait for a safepoint.

use std::cell::Cell;

use jni::Env;
use jni::errors::{Error, Result};
use jni::objects::JByteArray;
use jni::sys::{jbyte, jint};

/// A thread keeps its buffer for the next call up to this size; a larger one was for a rare large piece.
const KEPT: usize = 256 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A part of a Java array, as it arrives in an export.
#[derive(Debug)]
pub(crate) struct Region<'a, 'local> {
    pub(crate) array: &'a JByteArray<'local>,
    pub(crate) offset: jint,
    pub(crate) count: jint,
}

impl<'a, 'local> Region<'a, 'local> {
    /// All of an array.
    pub(crate) fn whole(env: &Env<'_>, array: &'a JByteArray<'local>) -> Result<Self> {
        let count = jint::try_from(array.len(env)?).map_err(|_| Error::IndexOutOfBounds)?;
        Ok(Self { array, offset: 0, count })
    }

    /// Checks that the region lies within its array, and returns its length.
    pub(crate) fn check(&self, env: &Env<'_>) -> Result<usize> {
        let length = self.array.len(env)?;
        let offset = usize::try_from(self.offset).map_err(|_| Error::IndexOutOfBounds)?;
        let count = usize::try_from(self.count).map_err(|_| Error::IndexOutOfBounds)?;
        if offset <= length && count <= length - offset { Ok(count) } else { Err(Error::IndexOutOfBounds) }
    }
}

/// Copies the regions one after the other into a buffer of this thread and calls `action` with each.
///
/// `action` may come back here: a nested call finds no buffer and makes its own.
pub(crate) fn with_bytes<const N: usize, R, E: From<Error>>(
    env: &mut Env<'_>,
    regions: &[Region<'_, '_>; N],
    action: impl FnOnce([&[u8]; N]) -> std::result::Result<R, E>,
) -> std::result::Result<R, E> {
    let mut lengths = [0; N];
    for (length, region) in lengths.iter_mut().zip(regions) {
        *length = region.check(env)?;
    }
    let mut buffer = BUFFER.take();
    let total = lengths.iter().sum();
    // The buffer never shrinks, so that zeroes are written to each of its bytes at most once.
    if buffer.len() < total {
        buffer.resize(total, 0);
    }
    let mut rest = buffer.as_mut_slice();
    let mut parts: [&[u8]; N] = [&[]; N];
    for ((part, region), length) in parts.iter_mut().zip(regions).zip(lengths) {
        let (place, remaining) = rest.split_at_mut(length);
        region.array.get_region(env, region.offset, signed_mut(place))?;
        *part = place;
        rest = remaining;
    }
    let outcome = action(parts);
    if buffer.len() <= KEPT {
        BUFFER.set(buffer);
    }
    outcome
}

/// The same bytes as Java sees them, to be written by a region copy.
pub(crate) fn signed_mut(bytes: &mut [u8]) -> &mut [jbyte] {
    // SAFETY: u8 and i8 have the same size and alignment, and every bit pattern is valid for both; the exclusive borrow of `bytes`
    // goes over to the result.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len()) }
}
