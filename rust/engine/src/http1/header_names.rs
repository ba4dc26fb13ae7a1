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
    /// The index of a common name, whatever its case.
    #[must_use]
    #[inline]
    pub fn find(text: &[u8]) -> Option<Self> {
        let bucket = BY_LENGTH.get(text.len())?;
        let first = text.first()?.to_ascii_lowercase();
        for &index in bucket.iter().take_while(|&&index| index != 0) {
            let candidate = HEADER_NAMES[usize::from(index) - 1].as_bytes();
            if candidate[0] == first && candidate.eq_ignore_ascii_case(text) {
                return Some(Self(index));
            }
        }
        None
    }

    /// The name, lower case.
    #[must_use]
    pub fn text(self) -> &'static str {
        HEADER_NAMES.get(usize::from(self.0).wrapping_sub(1)).copied().unwrap_or("")
    }
}

const LONGEST: usize = 25;
const WIDEST: usize = 8;

/// Indices by length of name, 0 for none: a name is compared with the few that share its length.
static BY_LENGTH: [[u8; WIDEST]; LONGEST + 1] = {
    let mut table = [[0; WIDEST]; LONGEST + 1];
    let mut index = 0;
    while index < HEADER_NAMES.len() {
        let row = &mut table[HEADER_NAMES[index].len()];
        let mut column = 0;
        while row[column] != 0 {
            column += 1;
        }
        row[column] = (index + 1) as u8;
        index += 1;
    }
    table
};

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
        assert_eq!(NameIndex::find(b""), None);
        assert_eq!(name::HOST.text(), "host");
        assert_eq!(name::X_FORWARDED_PROTO.text(), "x-forwarded-proto");
    }
}
