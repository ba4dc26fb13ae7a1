//! Request block: one [`Request`] for Java.

use httpkit_engine::{FieldName, Request};

use super::cursor::{Malformed, Writer};

const FIXED_PART: usize = 32;

const HTTP_1_1: u8 = 1;
const WEBSOCKET: u8 = 2;
const IN_PLACE: u8 = 4;
const QUERY: u8 = 8;
const SERVER_NAME: u8 = 16;
const REMOTE_ADDRESS: u8 = 32;
const INLINE_BODY: u8 = 64;
const STREAMED_BODY: u8 = 128;

/// A request whose block has been measured: it is known to fit the layout, and its size before it is written.
#[derive(Debug)]
pub(crate) struct RequestBlock<'a> {
    request: &'a Request<'a>,
    head_length: usize,
}

impl<'a> RequestBlock<'a> {
    /// Measures the block, or says that a field is too long for the layout (64 Ki headers, a body no `byte[]` can hold).
    pub(crate) fn measure(request: &'a Request<'a>) -> Result<Self, Malformed> {
        let too_long = Malformed("request does not fit the block");
        let fits = request.headers.len() <= usize::from(u16::MAX)
            && request.server_name.map_or(0, <[u8]>::len) <= usize::from(u16::MAX)
            && request.remote_address.map_or(0, <[u8]>::len) <= usize::from(u16::MAX)
            && request.body.len() <= i32::MAX as usize;
        let mut length = FIXED_PART
            + request.uri.len()
            + request.query.map_or(0, <[u8]>::len)
            + request.server_name.map_or(0, <[u8]>::len)
            + request.remote_address.map_or(0, <[u8]>::len);
        for header in request.headers {
            length += 1 + 4 + header.value.len();
            if let FieldName::Other(text) = &header.name {
                if text.len() > usize::from(u16::MAX) {
                    return Err(too_long);
                }
                length += 2 + text.len();
            }
        }
        // The head is within i32 as well, because Java addresses it with an int; no u32 length below can then overflow.
        if fits && length <= i32::MAX as usize { Ok(Self { request, head_length: length }) } else { Err(too_long) }
    }

    /// Bytes of the block without an inline body.
    pub(crate) fn head_length(&self) -> usize {
        self.head_length
    }

    /// Bytes of the block with its body inline.
    pub(crate) fn inline_length(&self) -> usize {
        self.head_length + self.request.body.len()
    }

    /// Writes the block to the front of `place` and returns its length.
    pub(crate) fn write(&self, place: &mut [u8], inline_body: bool) -> Result<usize, Malformed> {
        let request = self.request;
        let inline_body = inline_body && !request.body.is_empty();
        let query = request.query.unwrap_or_default();
        let server_name = request.server_name.unwrap_or_default();
        let remote_address = request.remote_address.unwrap_or_default();

        let mut fixed = [0; FIXED_PART];
        fixed[0] = request.method as u8;
        fixed[1] = self.flags(inline_body);
        fixed[2..4].copy_from_slice(&(request.headers.len() as u16).to_le_bytes());
        fixed[4..8].copy_from_slice(&(request.uri.len() as u32).to_le_bytes());
        fixed[8..12].copy_from_slice(&(query.len() as u32).to_le_bytes());
        fixed[12..14].copy_from_slice(&(server_name.len() as u16).to_le_bytes());
        fixed[14..16].copy_from_slice(&(remote_address.len() as u16).to_le_bytes());
        fixed[16..20].copy_from_slice(&i32::from(request.server_port).to_le_bytes());
        fixed[20..24].copy_from_slice(&(request.body.len() as u32).to_le_bytes());
        // Elsewhere the JVM has another clock.
        let received = if cfg!(target_os = "linux") { request.received } else { 0 };
        fixed[24..32].copy_from_slice(&received.to_le_bytes());

        let mut block = Writer::new(place);
        block.bytes(&fixed)?;
        block.bytes(request.uri)?;
        block.bytes(query)?;
        block.bytes(server_name)?;
        block.bytes(remote_address)?;
        for header in request.headers {
            match &header.name {
                FieldName::Common(index) => block.bytes(&[index.0])?,
                FieldName::Other(text) => {
                    let [low, high] = (text.len() as u16).to_le_bytes();
                    block.bytes(&[0, low, high])?;
                    block.lower_case(text)?;
                }
            }
            block.bytes(&(header.value.len() as u32).to_le_bytes())?;
            block.bytes(&header.value)?;
        }
        if inline_body {
            block.bytes(request.body)?;
            return Ok(self.inline_length());
        }
        Ok(self.head_length)
    }

    fn flags(&self, inline_body: bool) -> u8 {
        let request = self.request;
        [
            (request.http11, HTTP_1_1),
            (request.websocket, WEBSOCKET),
            (request.in_place, IN_PLACE),
            (request.query.is_some(), QUERY),
            (request.server_name.is_some(), SERVER_NAME),
            (request.remote_address.is_some(), REMOTE_ADDRESS),
            (inline_body, INLINE_BODY),
            (request.streamed, STREAMED_BODY),
        ]
        .into_iter()
        .fold(0, |flags, (set, flag)| if set { flags | flag } else { flags })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;

    use httpkit_engine::{FieldName, HeaderField, Method, NameIndex, Request, Route};

    use super::RequestBlock;
    use crate::wire::cursor::Malformed;
    use crate::wire::vectors::vector;

    fn encoded(request: &Request<'_>, inline_body: bool) -> Vec<u8> {
        let block = RequestBlock::measure(request).unwrap();
        let mut place = vec![0xEE; block.inline_length() + 7];
        let length = block.write(&mut place, inline_body).unwrap();
        place.truncate(length);
        place
    }

    fn common<'a>(index: u8, value: &'a [u8]) -> HeaderField<'a> {
        HeaderField { name: FieldName::Common(NameIndex(index)), value: Cow::Borrowed(value) }
    }

    fn other<'a>(name: &'a [u8], value: &'a [u8]) -> HeaderField<'a> {
        HeaderField { name: FieldName::Other(name), value: Cow::Borrowed(value) }
    }

    fn minimal<'a>() -> Request<'a> {
        Request {
            method: Method::Get,
            http11: false,
            websocket: false,
            uri: b"/",
            query: None,
            server_name: None,
            server_port: 80,
            remote_address: None,
            headers: &[],
            body: b"",
            streamed: false,
            in_place: false,
            route: Route::default(),
            received: 0,
        }
    }

    #[test]
    fn a_minimal_request_is_the_golden_block() {
        assert_eq!(encoded(&minimal(), true), vector("request-minimal"));
    }

    #[test]
    fn a_full_request_is_the_golden_block() {
        let headers = [
            common(16, b"example.org:8080"),
            common(11, b"a=1; b=2"),
            other(b"X-Trace", b"caf\xE9"),
            common(53, b"XMLHttpRequest"),
            other(b"x-empty", b""),
        ];
        let request = Request {
            method: Method::Post,
            http11: true,
            uri: b"/caf%C3%A9/\xE9",
            query: Some(b"q=1&r=%20"),
            server_name: Some(b"example.org"),
            server_port: 8080,
            remote_address: Some(b"192.0.2.7"),
            headers: &headers,
            body: b"name=value\x00\xFF",
            in_place: true,
            received: if cfg!(target_os = "linux") { 1_234_567_890_123 } else { 0 },
            ..minimal()
        };
        assert_eq!(encoded(&request, true), vector("request-inline-body"));
        assert_eq!(encoded(&request, false), vector("request-separate-body"));
    }

    #[test]
    fn a_request_whose_body_is_to_come_is_the_golden_block() {
        let headers = [common(9, b"5000000000")];
        let request = Request { method: Method::Post, http11: true, uri: b"/up", headers: &headers, streamed: true, ..minimal() };
        assert_eq!(encoded(&request, true), vector("request-streamed-body"));
    }

    #[test]
    fn an_empty_query_and_a_websocket_upgrade_are_the_golden_block() {
        let headers = [common(16, b"[::1]:65535"), common(42, b"websocket"), common(7, b"Upgrade")];
        let request = Request {
            method: Method::List,
            http11: true,
            websocket: true,
            query: Some(b""),
            server_name: Some(b"[::1]"),
            server_port: 65535,
            remote_address: Some(b"0:0:0:0:0:0:0:1"),
            headers: &headers,
            ..minimal()
        };
        assert_eq!(encoded(&request, true), vector("request-websocket"));
    }

    #[test]
    fn a_place_that_is_too_small_is_refused_at_every_length() {
        let request = Request { headers: &[common(16, b"h"), other(b"n", b"v")], body: b"body", ..minimal() };
        let block = RequestBlock::measure(&request).unwrap();
        for length in 0..block.inline_length() {
            assert_eq!(block.write(&mut vec![0; length], true), Err(Malformed("block is too small")));
        }
    }

    #[test]
    fn fields_too_long_for_their_length_are_refused() {
        let long = vec![b'a'; 0x1_0000];
        assert!(RequestBlock::measure(&Request { server_name: Some(&long), ..minimal() }).is_err());
        assert!(RequestBlock::measure(&Request { remote_address: Some(&long), ..minimal() }).is_err());
        assert!(RequestBlock::measure(&Request { headers: &[other(&long, b"")], ..minimal() }).is_err());
        assert!(RequestBlock::measure(&Request { headers: &vec![common(1, b""); 0x1_0000], ..minimal() }).is_err());
        assert!(RequestBlock::measure(&Request { headers: &[common(1, &long)], uri: &long, ..minimal() }).is_ok());
    }
}
