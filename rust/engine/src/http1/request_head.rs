//! A request head (RFC 9112 sections 3 and 5), parsed once by httparse and then checked for everything httparse lets pass.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use smallvec::SmallVec;

use super::framing::{Framing, FramingFields};
use super::header_names::{NameIndex, name};
use super::host::{self, Host};
use super::latin1::{self, RequestLine};
use super::method::Method;
use super::rejection::Rejection;
use crate::application::{FieldName, HeaderField};

/// The largest number of header fields any configuration can allow.
pub const MAX_HEADERS: usize = 256;

/// Room for the fields of one head, on the caller's stack: an ordinary request allocates nothing.
pub struct HeaderStorage<'b> {
    raw: [MaybeUninit<httparse::Header<'b>>; MAX_HEADERS],
    fields: SmallVec<[HeaderField<'b>; 32]>,
}

impl HeaderStorage<'_> {
    /// Empty storage.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Self { raw: [const { MaybeUninit::uninit() }; MAX_HEADERS], fields: SmallVec::new() }
    }
}

impl Default for HeaderStorage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for HeaderStorage<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HeaderStorage").finish_non_exhaustive()
    }
}

/// A valid request head.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// The method.
    pub method: Method,
    /// HTTP/1.1 rather than 1.0.
    pub http11: bool,
    /// The request target as received.
    pub target: &'b [u8],
    /// The host, without its port, that the target names, else the Host field.
    pub host: Option<&'b [u8]>,
    /// The port named with it, else 80.
    pub port: u16,
    /// `Upgrade` lists `websocket`.
    pub websocket: bool,
    /// Fields in order of appearance, those of one name joined.
    pub fields: &'h mut SmallVec<[HeaderField<'b>; 32]>,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) framing: Framing,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Parses a head that a scanner has delimited: it ends with its empty line.
    pub(super) fn parse(head: &'b [u8], storage: &'h mut HeaderStorage<'b>) -> Result<Self, Rejection> {
        let HeaderStorage { raw, fields } = storage;
        let mut parsed = httparse::Request::new(&mut []);
        let mut spare = Vec::new();
        let (line, headers) = match parsed.parse_with_uninit_headers(head, raw) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {
                let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
                    return Err(Rejection::bad("Malformed HTTP request line"));
                };
                let line = RequestLine { method: method.as_bytes(), target: target.as_bytes(), http11: version == 1 };
                (line, &*parsed.headers)
            }
            Ok(_) => return Err(Rejection::bad("Malformed HTTP request")),
            Err(httparse::Error::Token) => latin1::parse(head, &mut spare)?,
            Err(error) => return Err(explain(error)),
        };
        let http11 = line.http11;
        let target = check_target(line.target)?;
        let method = Method::parse(line.method).ok_or(Rejection::new(501, "Unsupported HTTP method"))?;
        let facts = Facts::read(headers, fields)?;
        let host = match (facts.host, http11) {
            (Some(value), _) => Some(host::parse(value)?),
            (None, true) => return Err(Rejection::bad("HTTP/1.1 request is missing Host header")),
            (None, false) => None,
        };
        let host = match host::of_target(target, method)? {
            None => host,
            Some(authority) => {
                // The Host field is to be ignored (RFC 9112 section 3.2.2), so nobody further on may route by another one.
                if let Some(field) = fields.iter_mut().find(|field| field.name == FieldName::Common(name::HOST)) {
                    field.value = Cow::Borrowed(authority);
                }
                Some(host::parse(authority)?)
            }
        };
        // RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait, whatever its Expect says.
        if facts.expectation == Expectation::Unknown && http11 {
            return Err(Rejection::new(417, "only 100-continue can be expected"));
        }
        Ok(Self {
            method,
            http11,
            target,
            host: host.map(|Host { name, .. }| name),
            port: host.map_or(80, |Host { port, .. }| port),
            websocket: facts.websocket,
            // What follows a CONNECT is a tunnel's to the proxy that sent it (RFC 9110 section 9.3.6), never another request.
            keep_alive: !facts.close && (http11 || facts.keep_alive) && method != Method::Connect,
            expects_continue: http11 && facts.expectation == Expectation::Continue,
            framing: facts.framing.resolve(http11)?,
            fields,
        })
    }
}

#[derive(Debug, PartialEq, Eq, Default)]
enum Expectation {
    #[default]
    Absent,
    Continue,
    Unknown,
}

/// What the server itself must know of the fields.
#[derive(Debug, Default)]
struct Facts<'b> {
    host: Option<&'b [u8]>,
    framing: FramingFields<'b>,
    close: bool,
    keep_alive: bool,
    websocket: bool,
    expectation: Expectation,
}

impl<'b> Facts<'b> {
    fn read(raw: &[httparse::Header<'b>], fields: &mut SmallVec<[HeaderField<'b>; 32]>) -> Result<Self, Rejection> {
        let mut facts = Self::default();
        let mut seen: u64 = 0;
        for header in raw {
            let text = header.name.as_bytes();
            let value = header.value;
            let repeated = match NameIndex::find(text) {
                Some(index) => {
                    facts.note(index, value)?;
                    let bit = 1 << index.0;
                    let repeated = seen & bit != 0;
                    seen |= bit;
                    fields.push(HeaderField { name: FieldName::Common(index), value: Cow::Borrowed(value) });
                    repeated
                }
                None => {
                    let repeated = fields.iter().any(|field| field.name.is(text));
                    fields.push(HeaderField { name: FieldName::Other(text), value: Cow::Borrowed(value) });
                    repeated
                }
            };
            if repeated {
                join_last(fields);
            }
        }
        Ok(facts)
    }

    #[inline]
    fn note(&mut self, index: NameIndex, value: &'b [u8]) -> Result<(), Rejection> {
        match index {
            name::HOST if self.host.replace(value).is_some() => return Err(Rejection::bad("Invalid host header")),
            name::CONTENT_LENGTH => self.framing.content_length(value)?,
            name::TRANSFER_ENCODING => self.framing.transfer_encoding(value)?,
            name::CONNECTION => {
                self.close |= has_token(value, b"close");
                self.keep_alive |= has_token(value, b"keep-alive");
            }
            name::UPGRADE => self.websocket |= has_token(value, b"websocket"),
            name::EXPECT => {
                let known = value.eq_ignore_ascii_case(b"100-continue") && self.expectation != Expectation::Unknown;
                self.expectation = if known { Expectation::Continue } else { Expectation::Unknown };
            }
            _ => {}
        }
        Ok(())
    }
}

/// Moves the value of the last field to the first of the same name: "," between them, ";" for cookies (Ring's form).
#[cold]
fn join_last(fields: &mut SmallVec<[HeaderField<'_>; 32]>) {
    let Some(last) = fields.pop() else { return };
    if let Some(first) = fields.iter_mut().find(|field| field.name.same(&last.name)) {
        let separator = if first.name == FieldName::Common(name::COOKIE) { b';' } else { b',' };
        let joined = first.value.to_mut();
        joined.push(separator);
        joined.extend_from_slice(&last.value);
    }
}

/// True if a comma-separated list contains a token, whatever its case (RFC 9110 section 5.6.1).
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

/// Refuses what could be read in two ways further on: controls, white space, C1 controls, and a fragment (RFC 9112 section 3.2).
fn check_target(target: &[u8]) -> Result<&[u8], Rejection> {
    if target.iter().any(|&byte| byte <= 0x20 || matches!(byte, 0x7f..=0xa0 | b'#')) {
        return Err(Rejection::bad("Invalid HTTP request target"));
    }
    Ok(target)
}

#[cold]
pub(super) fn explain(error: httparse::Error) -> Rejection {
    match error {
        httparse::Error::HeaderName => Rejection::bad("Invalid HTTP header name"),
        httparse::Error::HeaderValue => Rejection::bad("Invalid character in HTTP header value"),
        httparse::Error::NewLine => Rejection::BARE_CR,
        httparse::Error::Version => Rejection::bad("Unsupported HTTP version"),
        httparse::Error::TooManyHeaders => Rejection::TOO_MANY_FIELDS,
        _ => Rejection::bad("Malformed HTTP request line"),
    }
}

/// A byte of a token (RFC 9110 section 5.6.2).
#[inline]
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// A byte of a field value: visible, space, tab, or obs-text (RFC 9110 section 5.5).
#[inline]
pub(super) fn is_field_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}
