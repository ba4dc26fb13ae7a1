//! The host a request is for: that of a target in absolute-form (RFC 9112 section 3.2.2), else that of the Host field (section 3.2), which
//! is one, not empty, a name and perhaps a port.

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

/// The authority of a target in absolute-form, `None` in any other.
pub(super) fn of_target(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let (scheme, rest) = target.split_at(target.iter().position(|&byte| byte == b':')?);
    let rest = rest.strip_prefix(b"://")?;
    if scheme.is_empty() || !scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
        return None;
    }
    Some(rest.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or(rest))
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
