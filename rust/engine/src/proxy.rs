//! The PROXY protocol, version 1, TCP4 (http-kit's subset): the first line of a connection names the client behind a balancer.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use smallvec::SmallVec;

use crate::application::{FieldName, HeaderField};
use crate::http1::{NameIndex, Rejection, name};
use crate::remote_address::format_ip;

/// The longest line version 1 allows, CR LF included.
const LONGEST: usize = 107;

/// Whether connections begin with a PROXY line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// No.
    Disable,
    /// Every connection must (else 400).
    Enable,
    /// A connection may.
    Optional,
}

/// What a PROXY line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proxied {
    pub(crate) source: SocketAddr,
    destination_port: u16,
}

/// What stands at the start of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstLine {
    /// Not to be told yet.
    Incomplete,
    /// No PROXY line.
    Absent,
    /// A PROXY line of that many bytes.
    Present(Proxied, usize),
}

pub(crate) fn read(input: &[u8], required: bool) -> Result<FirstLine, Rejection> {
    const PREFIX: &[u8] = b"PROXY ";
    let known = input.len().min(PREFIX.len());
    if input[..known] != PREFIX[..known] {
        return if required { Err(Rejection::bad("Expected PROXY header")) } else { Ok(FirstLine::Absent) };
    }
    let malformed = Rejection::bad("Unsupported or malformed proxy header");
    let Some(end) = input.iter().take(LONGEST).position(|&byte| byte == b'\n') else {
        return if input.len() >= LONGEST { Err(malformed) } else { Ok(FirstLine::Incomplete) };
    };
    let line = input[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    match line.and_then(parse) {
        Some(proxied) => Ok(FirstLine::Present(proxied, end + 1)),
        None => Err(malformed),
    }
}

fn parse(line: &str) -> Option<Proxied> {
    let mut words = line.strip_prefix("PROXY TCP4 ")?.split(' ');
    let source: Ipv4Addr = words.next()?.parse().ok()?;
    let _destination: Ipv4Addr = words.next()?.parse().ok()?;
    let source_port = port(words.next()?)?;
    let destination_port = port(words.next()?)?;
    words.next().is_none().then(|| Proxied { source: SocketAddr::new(IpAddr::V4(source), source_port), destination_port })
}

/// 1-65535 without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let valid = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| valid)
}

impl Proxied {
    /// Replaces the forwarding fields of a request: the balancer knows, the client only claims.
    pub(crate) fn overwrite(&self, fields: &mut SmallVec<[HeaderField<'_>; 32]>) {
        let port = self.destination_port.to_string().into_bytes();
        let scheme = match self.destination_port {
            80 => Some(b"http".to_vec()),
            443 => Some(b"https".to_vec()),
            _ => None,
        };
        set(fields, name::X_FORWARDED_FOR, Some(format_ip(self.source.ip()).to_vec()));
        set(fields, name::X_FORWARDED_PORT, Some(port));
        set(fields, name::X_FORWARDED_PROTO, scheme);
    }
}

fn set(fields: &mut SmallVec<[HeaderField<'_>; 32]>, index: NameIndex, value: Option<Vec<u8>>) {
    fields.retain(|field| field.name != FieldName::Common(index));
    if let Some(value) = value {
        fields.push(HeaderField { name: FieldName::Common(index), value: Cow::Owned(value) });
    }
}

#[cfg(test)]
mod tests {
    use super::{FirstLine, read};

    #[test]
    fn lines_are_told_from_requests() {
        let text = b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\nGET / HTTP/1.1\r\n";
        assert!(matches!(read(text, true), Ok(FirstLine::Present(proxied, 37)) if proxied.source.to_string() == "1.2.3.4:1000"));
        for length in 0..37 {
            assert_eq!(read(&text[..length], true).ok(), Some(FirstLine::Incomplete), "{length}");
        }
        assert_eq!(read(b"GET /", false).ok(), Some(FirstLine::Absent));
        assert!(read(b"GET /", true).is_err());
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "PROXY UNKNOWN\r\n",
            "PROXY TCP6 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000 70000\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000 0\r\n",
            "PROXY TCP4 01.2.3.4 5.6.7.8 1000 80\r\n",
            "PROXY TCP4 1.2.3.4  5.6.7.8 1000 80\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000 80 \r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\n",
        ] {
            assert!(read(line.as_bytes(), false).is_err(), "{line:?}");
        }
        assert!(read(&[b"PROXY ".as_slice(), &[b'1'; 200]].concat(), false).is_err());
    }
}
