//! The opening handshake: RFC 6455, section 4, with the key of its example throughout.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// The key of section 1.3. A new one for each connection would prove nothing here and need SHA-1.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What ends a head.
pub const HEAD_END: &[u8] = b"\r\n\r\n";

const MAX_HEAD_BYTES: usize = 8192;

/// Sends the request for `path` over a connection that blocks, and checks the answer.
pub fn open(stream: &mut (impl Read + Write), path: &str) -> Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(HEAD_END) {
        let mut piece = [0; 512];
        let count = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        if count == 0 || answer.len() > MAX_HEAD_BYTES {
            return Err(refused(&answer));
        }
    }
    if is_accepted(&String::from_utf8_lossy(&answer)) { Ok(()) } else { Err(refused(&answer)) }
}

fn is_accepted(answer: &str) -> bool {
    let mut lines = answer.split("\r\n");
    lines.next().is_some_and(|status| status.starts_with("HTTP/1.1 101 "))
        && lines
            .filter_map(|line| line.split_once(':'))
            .any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT)
}

fn refused(answer: &[u8]) -> Error {
    Error::new(ErrorKind::InvalidData, format!("no WebSocket: {:?}", String::from_utf8_lossy(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answer_to_the_key_is_taken() {
        let answer = |status: &str, accept: &str| format!("HTTP/1.1 {status}\r\nSec-Websocket-Accept: {accept}\r\n\r\n");
        assert!(is_accepted(&answer("101 Switching Protocols", ACCEPT)));
        assert!(!is_accepted(&answer("200 OK", ACCEPT)));
        assert!(!is_accepted(&answer("101 Switching Protocols", KEY)));
    }
}
