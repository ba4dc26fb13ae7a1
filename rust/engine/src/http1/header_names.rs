//! Header names so common that they cross the JNI boundary as a number and become an interned String.

/// The position of a common name in [`HEADER_NAMES`], counted from 1 (0 means "spelled out" on the wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameIndex(pub u8);

/// Names the core itself looks at.
#[allow(missing_docs)]
pub mod name {
    use super::NameIndex;
    pub const CONNECTION: NameIndex = NameIndex(7);
    pub const CONTENT_LENGTH: NameIndex = NameIndex(9);
    pub const COOKIE: NameIndex = NameIndex(11);
    pub const EXPECT: NameIndex = NameIndex(14);
    pub const HOST: NameIndex = NameIndex(16);
    pub const TRANSFER_ENCODING: NameIndex = NameIndex(41);
    pub const UPGRADE: NameIndex = NameIndex(42);
    pub const X_FORWARDED_FOR: NameIndex = NameIndex(47);
    pub const X_FORWARDED_PORT: NameIndex = NameIndex(49);
    pub const X_FORWARDED_PROTO: NameIndex = NameIndex(50);
}

/// The common names, lower case. The order is part of the wire format; at most 64, so that a set of them is one word.
pub const HEADER_NAMES: [&str; 53] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-authorization",
    "range",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "te",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
];

impl NameIndex {
    /// The index of a common name, whatever its case. `text` is a token (RFC 9110 section 5.6.2).
    #[must_use]
    #[inline]
    pub fn find(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let key = key(text);
        let index = TABLE[place(&key)];
        (KEYS[usize::from(index)] == key).then_some(Self(index))
    }

    /// The name, lower case.
    #[must_use]
    pub fn text(self) -> &'static str {
        HEADER_NAMES.get(usize::from(self.0).wrapping_sub(1)).copied().unwrap_or("")
    }
}

const LONGEST: usize = 25;
/// Bits of a place in [`TABLE`].
const BITS: u32 = 9;
/// The first odd number from the golden ratio on that gives every name a place of its own; found by trial, which the compiler repeats.
const FACTOR: u64 = {
    let mut factor = 0x9e37_79b9_7f4a_7c15;
    while table(factor).is_none() {
        factor += 2;
    }
    factor
};

/// A name in words, and its length.
type Key = [u64; 5];

/// By index; the first is no name's.
static KEYS: [Key; HEADER_NAMES.len() + 1] = {
    let mut keys = [[0; 5]; HEADER_NAMES.len() + 1];
    let mut index = 1;
    while index < keys.len() {
        keys[index] = key(HEADER_NAMES[index - 1].as_bytes());
        index += 1;
    }
    keys
};

/// The index of the only name that may be at a place, else 0: a name is compared with one.
static TABLE: [u8; 1 << BITS] = match table(FACTOR) {
    Some(table) => table,
    None => [0; 1 << BITS],
};

/// `None` if two names meet.
const fn table(factor: u64) -> Option<[u8; 1 << BITS]> {
    let mut table = [0; 1 << BITS];
    let mut position = 0;
    while position < HEADER_NAMES.len() {
        let place = place_by(&key(HEADER_NAMES[position].as_bytes()), factor);
        if table[place] != 0 {
            return None;
        }
        position += 1;
        table[place] = position as u8;
    }
    Some(table)
}

#[inline]
fn place(key: &Key) -> usize {
    place_by(key, FACTOR)
}

const fn place_by(key: &Key, factor: u64) -> usize {
    ((key[0] ^ key[3].rotate_left(32)).wrapping_mul(factor) >> (u64::BITS - BITS)) as usize
}

/// All bytes of a name up to [`LONGEST`], some of them twice, in lower case: of the bytes of a token only letters become others'.
#[inline]
const fn key(name: &[u8]) -> Key {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let words = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        _ if name.len() >= 8 => [word(name, 0), word(name, 8), word(name, 16), word(name, 24)],
        (Some(first), Some(last)) => [u32::from_le_bytes(*first) as u64, 0, 0, u32::from_le_bytes(*last) as u64],
        _ => match name {
            [first, .., last] => [*first as u64, name[1] as u64, 0, *last as u64],
            [only] => [*only as u64, 0, 0, 0],
            [] => [0; 4],
        },
    };
    [words[0] | LOWER, words[1] | LOWER, words[2] | LOWER, words[3] | LOWER, name.len() as u64]
}

/// The eight bytes from a place on, or the last eight.
#[inline]
const fn word(name: &[u8], at: usize) -> u64 {
    let last = name.len() - 8;
    match name.split_at(if at < last { at } else { last }).1.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER_NAMES, NameIndex, name};

    #[test]
    fn every_common_name_is_found_in_any_case() {
        for (position, text) in HEADER_NAMES.iter().enumerate() {
            let index = NameIndex::find(text.to_ascii_uppercase().as_bytes());
            assert_eq!(index.map(|found| usize::from(found.0)), Some(position + 1), "{text}");
        }
        assert_eq!(NameIndex::find(b"x-other"), None);
        assert_eq!(NameIndex::find(&[b'x'; 300]), None);
        assert_eq!(NameIndex::find(b""), None);
        assert_eq!(name::HOST.text(), "host");
        assert_eq!(name::X_FORWARDED_PROTO.text(), "x-forwarded-proto");
    }

    #[test]
    fn a_name_that_differs_in_one_byte_is_another() {
        for text in HEADER_NAMES {
            for place in 0..text.len() {
                let mut other = text.as_bytes().to_vec();
                for byte in (b'!'..=b'~').filter(|byte| !byte.eq_ignore_ascii_case(&text.as_bytes()[place])) {
                    other[place] = byte;
                    assert!(
                        NameIndex::find(&other).is_none_or(|found| found.text().as_bytes().eq_ignore_ascii_case(&other)),
                        "{text}"
                    );
                }
            }
        }
    }
}
