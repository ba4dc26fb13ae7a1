//! Whether a request is a valid opening handshake (RFC 6455 section 4.2.1).
//!
//! The value of Sec-WebSocket-Accept is not computed here: it is a public function of the Clojure interface, which writes the 101
//! like any other head, and the JDK has SHA-1.

/// The parts of a request that open a WebSocket. Fields that came more than once are joined by commas.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// The method is GET.
    pub is_get: bool,
    /// The version is HTTP/1.1.
    pub is_http11: bool,
    /// Upgrade.
    pub upgrade: &'a [u8],
    /// Connection.
    pub connection: &'a [u8],
    /// Sec-WebSocket-Version.
    pub version: &'a [u8],
    /// Sec-WebSocket-Key.
    pub key: &'a [u8],
}

/// The answer to a handshake that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// 400, or 426 for another version: the answer then names ours, `Sec-WebSocket-Version: 13` (section 4.4).
    pub status: u16,
    /// A plain text that says which rule was broken.
    pub reason: &'static str,
}

/// Judges a handshake.
///
/// # Errors
/// A [`Refusal`].
pub fn check_handshake(offer: &Offer<'_>) -> Result<(), Refusal> {
    let bad = |reason| Err(Refusal { status: 400, reason });
    if !offer.is_get {
        return bad("A WebSocket handshake must be a GET request");
    }
    if !offer.is_http11 {
        return bad("A WebSocket handshake must be HTTP/1.1");
    }
    if !has_token(offer.upgrade, "websocket") {
        return bad("Bad Upgrade header");
    }
    if !has_token(offer.connection, "upgrade") {
        return bad("Bad Connection header");
    }
    if offer.version != b"13" {
        return Err(Refusal { status: 426, reason: "Sec-WebSocket-Version must be 13" });
    }
    if is_handshake_key(offer.key) { Ok(()) } else { bad("Bad Sec-WebSocket-Key header") }
}

/// True for the canonical base64 of 16 bytes: 22 digits, of which the last has four zero bits, and two of padding.
#[must_use]
pub fn is_handshake_key(key: &[u8]) -> bool {
    let Some(([digits @ .., last], padding)) = key.split_at_checked(22) else { return false };
    padding == b"=="
        && digits.iter().all(|digit| matches!(digit, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/'))
        && matches!(last, b'A' | b'Q' | b'g' | b'w')
}

fn has_token(list: &[u8], token: &str) -> bool {
    list.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Offer, check_handshake, is_handshake_key};

    /// The client of RFC 6455 section 1.3.
    const VALID: Offer<'_> = Offer {
        is_get: true,
        is_http11: true,
        upgrade: b"websocket",
        connection: b"Upgrade",
        version: b"13",
        key: b"dGhlIHNhbXBsZSBub25jZQ==",
    };

    #[test]
    fn valid_handshakes() {
        for offer in [
            VALID,
            Offer { upgrade: b"h2c, \tWebSocket", ..VALID },
            Offer { connection: b"keep-alive,UPGRADE ", ..VALID },
            Offer { key: b"AAAAAAAAAAAAAAAAAAAAAA==", ..VALID },
            Offer { key: b"/////////////////////w==", ..VALID },
        ] {
            assert_eq!(check_handshake(&offer), Ok(()), "{offer:?}");
        }
    }

    #[test]
    fn refused_handshakes() {
        for (status, offer) in [
            (400, Offer { is_get: false, ..VALID }),
            (400, Offer { is_http11: false, ..VALID }),
            (400, Offer { upgrade: b"websockets", ..VALID }),
            (400, Offer { upgrade: b"web, socket", ..VALID }),
            (400, Offer { connection: b"keep-alive", ..VALID }),
            (400, Offer { connection: b"", ..VALID }),
            (426, Offer { version: b"8", ..VALID }),
            (426, Offer { version: b"13, 13", ..VALID }),
            (426, Offer { version: b"", ..VALID }),
            (400, Offer { key: b"", ..VALID }),
        ] {
            assert_eq!(check_handshake(&offer).map_err(|refusal| refusal.status), Err(status), "{offer:?}");
        }
    }

    #[test]
    fn keys_that_are_not_canonical() {
        for key in [
            b"dGhlIHNhbXBsZSBub25jZQ".as_slice(),
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZR==",
            b"dGhlIHNhbXBsZSBub25jZ_==",
            b"dGhlIHNhbXBsZSBub25-ZQ==",
            b" dGhlIHNhbXBsZSBub25jZQ==",
            b"dGhlIHNhbXBsZSBub25jZQ== ",
            b"dGhlIHNhbXBsZSBub25jZTEy",
            b"dGhlIHNhbXBsZSBub25jZQ==\n",
            b"=GhlIHNhbXBsZSBub25jZQ==",
            b"",
        ] {
            assert!(!is_handshake_key(key), "{}", key.escape_ascii());
        }
    }
}
