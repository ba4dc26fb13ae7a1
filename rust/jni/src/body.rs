//! A large response body that stays in its Java array and is copied piece by piece as the socket takes it.

use httpkit_engine::BodySource;
use jni::errors::Result;
use jni::objects::JByteArray;
use jni::refs::Global;
use jni::sys::jint;

use crate::array::signed_mut;
use crate::errors::report;
use crate::jvm;

/// The unsent part of a `byte[]`. Java must not change the array before the response is out, as with http-kit.
#[derive(Debug)]
pub(crate) struct ArrayBody {
    array: Global<JByteArray<'static>>,
    offset: jint,
    remaining: jint,
}

impl ArrayBody {
    /// The region is one that has been checked against the array.
    pub(crate) fn new(array: Global<JByteArray<'static>>, offset: jint, count: jint) -> Self {
        Self { array, offset, remaining: count }
    }

    fn copy(&mut self, place: &mut [u8]) -> Result<()> {
        jvm::with_env(|env| self.array.get_region(env, self.offset, signed_mut(place)))
    }
}

impl BodySource for ArrayBody {
    fn remaining(&self) -> u64 {
        u64::try_from(self.remaining).unwrap_or(0)
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = jint::try_from(buffer.len()).unwrap_or(jint::MAX).min(self.remaining);
        let length = usize::try_from(count).unwrap_or(0);
        let Some(place) = buffer.get_mut(..length) else { return 0 };
        match self.copy(place) {
            Ok(()) => {
                self.offset += count;
                self.remaining -= count;
                length
            }
            Err(error) => {
                // 0 makes the engine cut the connection: the client must not take the part for the whole.
                report(format_args!("cannot read a response body: {error}"));
                0
            }
        }
    }
}
