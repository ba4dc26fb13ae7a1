//! The `Date` field (RFC 9110 section 5.6.7), formatted once a second and thread.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use crate::clock::unix_seconds;

/// The length of every IMF-fixdate.
pub(crate) const LENGTH: usize = 29;

thread_local! {
    static CACHED: Cell<(u64, [u8; LENGTH])> = const { Cell::new((0, [b' '; LENGTH])) };
}

/// Now, as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn now() -> [u8; LENGTH] {
    let seconds = unix_seconds();
    CACHED.with(|cached| {
        let (at, text) = cached.get();
        if at == seconds {
            return text;
        }
        let mut text = [b' '; LENGTH];
        let formatted = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        text.iter_mut().zip(formatted.bytes()).for_each(|(slot, byte)| *slot = byte);
        cached.set((seconds, text));
        text
    })
}
