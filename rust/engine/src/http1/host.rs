//! The Host field (RFC 9112 section 3.2): one, not empty, a name and perhaps a port.

use super::rejection::Rejection;

/// Host without its port, and the port (80 when none is named, as http-kit has it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host<'a> {
    pub(super) name: &'a [u8],
    pub(super) port: u16,
}

pub(super) fn parse(value: &[u8]) -> Result<Host<'_>, Rejection> {
    const INVALID: Rejection = Rejection::bad("Invalid host header");
    if value.is_empty() {
        return Err(Rejection::bad("HTTP/1.1 request is missing Host header"));
    }
    // User information, paths and white space are how one host is smuggled past a check for another.
    if value.iter().any(|byte| matches!(byte, b'@' | b'/' | b'\\' | b' ' | b'\t' | b'?' | b'#')) {
        return Err(INVALID);
    }
    let name_end = if value[0] == b'[' {
        value.iter().position(|&byte| byte == b']').ok_or(INVALID)? + 1
    } else {
        value.iter().position(|&byte| byte == b':').unwrap_or(value.len())
    };
    let (name, rest) = value.split_at(name_end);
    if name.is_empty() {
        return Err(INVALID);
    }
    match rest {
        [] | [b':'] => Ok(Host { name, port: 80 }),
        [b':', digits @ ..] => Ok(Host { name, port: parse_port(digits)? }),
        _ => Err(INVALID),
    }
}

fn parse_port(digits: &[u8]) -> Result<u16, Rejection> {
    const INVALID: Rejection = Rejection::bad("Invalid host header (bad port)");
    let mut port: u16 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(INVALID);
        }
        port = port.checked_mul(10).and_then(|tens| tens.checked_add(u16::from(digit - b'0'))).ok_or(INVALID)?;
    }
    Ok(port)
}
