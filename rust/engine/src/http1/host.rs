//! The host a request is for: that of a target in absolute-form (RFC 9112 section 3.2.2), else that of the Host field (section 3.2), which
//! is one, not empty, a name and perhaps a port.

use std::net::Ipv6Addr;

use super::method::Method;
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
    let name_end = if value[0] == b'[' {
        let end = value.iter().position(|&byte| byte == b']').ok_or(INVALID)?;
        if !is_address(&value[1..end]) && !is_future_address(&value[1..end]) {
            return Err(INVALID);
        }
        end + 1
    } else {
        name_length(value).ok_or(INVALID)?
    };
    let (name, rest) = value.split_at(name_end);
    match rest {
        [] | [b':'] => Ok(Host { name, port: 80 }),
        [b':', digits @ ..] => Ok(Host { name, port: parse_port(digits)? }),
        _ => Err(INVALID),
    }
}

/// The length of the name before the port: RFC 3986 section 3.2.2, reg-name and IPv4address. User information, paths and white space are
/// how one host is smuggled past a check for another.
fn name_length(value: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        end += value[end..].iter().take_while(|&&byte| NAME_BYTES[usize::from(byte)]).count();
        match &value[end..] {
            [b'%', first, second, ..] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit() => end += 3,
            [] | [b':', ..] => return (end > 0).then_some(end),
            _ => return None,
        }
    }
}

/// RFC 3986 section 2: unreserved, or a sub-delimiter.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=')
}

static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = is_name_byte(byte);
        byte += 1;
    }
    table
};

/// An IPv6 address, and perhaps the zone in which it is one (RFC 4007 section 11): the JDK's HttpClient sends it, though it means nothing here.
fn is_address(literal: &[u8]) -> bool {
    let mut parts = literal.splitn(2, |&byte| byte == b'%');
    let address = parts.next().and_then(|address| std::str::from_utf8(address).ok());
    let is_zone = |zone: &[u8]| !zone.is_empty() && zone.iter().all(|&byte| is_name_byte(byte) || byte == b'%');
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()) && parts.next().is_none_or(is_zone)
}

/// An address of a later version of IP: `v`, hexadecimal digits, a dot, and the address.
fn is_future_address(literal: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = literal else { return false };
    let mut parts = rest.splitn(2, |&byte| byte == b'.');
    let (version, address) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_part = |part: &[u8], is_byte: fn(u8) -> bool| !part.is_empty() && part.iter().all(|&byte| is_byte(byte));
    is_part(version, |byte| byte.is_ascii_hexdigit()) && is_part(address, |byte| byte == b':' || is_name_byte(byte))
}

/// The authority of a target in absolute-form, `None` in any other (RFC 9112 section 3.2).
///
/// # Errors
/// None of the four forms. What has another meaning to the next reader would pass every check of a path by its beginning, and `@b/c` behind
/// `http://a` is another host.
pub(super) fn of_target(target: &[u8], method: Method) -> Result<Option<&[u8]>, Rejection> {
    const INVALID: Rejection = Rejection::bad("Invalid request target");
    if method == Method::Connect {
        return if is_authority(target) { Ok(None) } else { Err(INVALID) };
    }
    if target.starts_with(b"/") || target == b"*" && method == Method::Options {
        return Ok(None);
    }
    let (scheme, rest) = target.split_at(target.iter().position(|&byte| byte == b':').ok_or(INVALID)?);
    match rest.strip_prefix(b"://") {
        Some(rest) if is_scheme(scheme) => Ok(Some(rest.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or(rest))),
        _ => Err(INVALID),
    }
}

/// A host and its port, which cannot be left out (RFC 9112 section 3.2.3).
fn is_authority(target: &[u8]) -> bool {
    parse(target).is_ok_and(|host| target.len() > host.name.len() + 1)
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn parse_port(digits: &[u8]) -> Result<u16, Rejection> {
    const INVALID: Rejection = Rejection::bad("Invalid host header (bad port)");
    let mut port: u32 = 0;
    for digit in digits {
        port = port * 10 + u32::from(digit.wrapping_sub(b'0'));
        if !digit.is_ascii_digit() || port > u32::from(u16::MAX) {
            return Err(INVALID);
        }
    }
    Ok(port as u16)
}
