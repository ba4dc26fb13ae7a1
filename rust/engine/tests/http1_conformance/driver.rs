//! Plays a connection without a socket: feeds pieces of input to the core, keeps what it does not consume, answers every request
//! with 200, and writes down what happened. The fuzz target uses the same player.

use httpkit_engine::http1::{
    HeaderStorage, Http1, Limits, Next, Received, Rejection, RequestHead, ResponseBody, ResponseHead, ResponseStyle, encode_head,
};
use httpkit_engine::{FieldName, HEADER_NAMES, HeaderField};

/// http-kit's limits.
pub(crate) const LIMITS: Limits =
    Limits { max_body: 8 * 1024 * 1024, stream_above: u64::MAX, max_line: 8192, max_head: 65536, max_headers: 100 };

pub(crate) fn head<H>(status: u16, headers: H, declared_length: Option<u64>) -> ResponseHead<H> {
    ResponseHead { status, headers, declared_length }
}

pub(crate) const STYLE: ResponseStyle<'static> =
    ResponseStyle { http11: true, keep_alive: true, server: Some(b"test"), date: b"Sun, 06 Nov 1994 08:49:37 GMT" };

/// A request as an application would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: u8,
    pub http11: bool,
    pub(crate) target: Vec<u8>,
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) port: u16,
    pub(crate) websocket: bool,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// The input bytes that came before the end of this request.
    pub(crate) end: usize,
}

impl Seen {
    pub(crate) fn header(&self, wanted: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
    }
}

/// How a connection stands after its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It waits for more input.
    Waits,
    /// It closed after the answer to its last request.
    Closed,
    /// It refused a request with that status.
    Rejected(u16),
}

/// What became of an input.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Seen>,
    pub(crate) end: End,
    /// Interim `100 Continue` answers, each with the number of requests complete before it. How many there are depends on what
    /// arrives together; all else may not.
    pub(crate) interim: Vec<usize>,
    /// Everything the server wrote.
    pub(crate) output: Vec<u8>,
    /// The most unconsumed input held between two reads.
    pub(crate) most_held: usize,
    /// Input bytes shown to the core by the time of the rejection.
    pub(crate) fed: usize,
}

impl Outcome {
    /// What must not depend on how the input was cut into reads.
    pub(crate) fn verdict(&self) -> (&[Seen], End) {
        (&self.requests, self.end)
    }
}

/// Feeds the pieces one after the other, as reads of a socket.
pub(crate) fn play<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    let mut player = Player::new(limits);
    for piece in pieces {
        if !player.feed(piece) {
            break;
        }
    }
    player.outcome
}

pub(crate) fn play_whole(input: &[u8], limits: &Limits) -> Outcome {
    play([input], limits)
}

pub(crate) fn play_split(input: &[u8], at: usize, limits: &Limits) -> Outcome {
    let (first, second) = input.split_at(at);
    play([first, second], limits)
}

/// As [`play`], but bodies that do not come with their heads are read while they arrive.
pub(crate) fn play_streamed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    play(pieces, &Limits { stream_above: 0, ..*limits })
}

pub(crate) fn play_bytes(input: &[u8], limits: &Limits) -> Outcome {
    play(input.chunks(1), limits)
}

struct Player<'l> {
    http: Http1,
    limits: &'l Limits,
    held: Vec<u8>,
    consumed: usize,
    /// A request whose body is read while it arrives.
    streamed: Option<Seen>,
    outcome: Outcome,
}

impl<'l> Player<'l> {
    fn new(limits: &'l Limits) -> Self {
        let outcome =
            Outcome { requests: Vec::new(), end: End::Waits, interim: Vec::new(), output: Vec::new(), most_held: 0, fed: 0 };
        Self { http: Http1::new(), limits, held: Vec::new(), consumed: 0, streamed: None, outcome }
    }

    /// False once the connection is closed.
    fn feed(&mut self, piece: &[u8]) -> bool {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(piece);
        self.outcome.fed += piece.len();
        let mut position = 0;
        while position < input.len() {
            match self.step(&input[position..]) {
                Some(0) => break,
                Some(consumed) => position += consumed,
                None => return false,
            }
        }
        input.drain(..position);
        self.outcome.most_held = self.outcome.most_held.max(input.len());
        self.held = input;
        true
    }

    /// One call of the core. `None` once the connection is closed.
    fn step(&mut self, input: &[u8]) -> Option<usize> {
        if let Some(seen) = self.streamed.take() {
            return self.continue_body(seen, input);
        }
        let mut storage = HeaderStorage::new();
        match self.http.receive(input, &mut storage, self.limits) {
            Ok(Received::Incomplete { consumed }) => {
                self.consumed += consumed;
                Some(consumed)
            }
            Ok(Received::Continue { consumed }) => {
                self.consumed += consumed;
                self.outcome.interim.push(self.outcome.requests.len());
                encode_head(&mut self.outcome.output, 100, [], ResponseBody::None(None), &STYLE).unwrap();
                Some(consumed)
            }
            Ok(Received::Request { consumed, head, body }) => {
                self.consumed += consumed;
                let seen = see(&head, body, self.consumed);
                self.answer(seen, consumed)
            }
            Ok(Received::Head { consumed, head, awaits_continue }) => {
                self.consumed += consumed;
                if awaits_continue {
                    self.outcome.interim.push(self.outcome.requests.len());
                }
                assert!(self.http.is_receiving());
                self.streamed = Some(see(&head, &[], self.consumed));
                Some(consumed)
            }
            Ok(Received::Collected { consumed, request }) => {
                self.consumed += consumed;
                let mut storage = HeaderStorage::new();
                let head = request.parse(&mut storage).expect("a head that was accepted is accepted again");
                let seen = see(&head, &request.body, self.consumed);
                self.answer(seen, consumed)
            }
            Err(rejection) => self.reject(rejection),
        }
    }

    fn continue_body(&mut self, mut seen: Seen, input: &[u8]) -> Option<usize> {
        // What was decoded before belongs to the application.
        let mut piece = Vec::new();
        match self.http.receive_body(input, &mut piece, self.limits) {
            Ok(consumed) => {
                self.consumed += consumed;
                seen.body.append(&mut piece);
                seen.end = self.consumed;
                if self.http.is_receiving() {
                    self.streamed = Some(seen);
                    return Some(consumed);
                }
                self.answer(seen, consumed)
            }
            Err(rejection) => self.reject(rejection),
        }
    }

    fn reject(&mut self, rejection: Rejection) -> Option<usize> {
        self.http.close();
        self.outcome.end = End::Rejected(rejection.status);
        None
    }

    fn answer(&mut self, seen: Seen, consumed: usize) -> Option<usize> {
        assert!(self.http.is_in_exchange());
        let body = format!("answer {}", self.outcome.requests.len());
        self.outcome.requests.push(seen);
        let out = &mut self.outcome.output;
        let sends_body = self.http.answer(out, head(200, [], None), body.len() as u64, STYLE).expect("a head without headers");
        if sends_body {
            out.extend_from_slice(body.as_bytes());
        }
        match self.http.complete() {
            Next::Read => Some(consumed),
            Next::Close => {
                self.outcome.end = End::Closed;
                None
            }
        }
    }
}

fn see(head: &RequestHead<'_, '_>, body: &[u8], end: usize) -> Seen {
    Seen {
        method: head.method as u8,
        http11: head.http11,
        target: head.target.to_vec(),
        host: head.host.map(<[u8]>::to_vec),
        port: head.port,
        websocket: head.websocket,
        headers: head.fields.iter().map(|field| (name_of(field), field.value.to_vec())).collect(),
        body: body.to_vec(),
        end,
    }
}

fn name_of(field: &HeaderField<'_>) -> String {
    match field.name {
        FieldName::Common(index) => HEADER_NAMES[usize::from(index.0) - 1].to_owned(),
        FieldName::Other(text) => String::from_utf8_lossy(text).to_ascii_lowercase(),
    }
}

/// The table of names starts at 1: a player that got this wrong would hide every other mistake.
#[test]
fn names_are_counted_from_one() {
    use httpkit_engine::http1::name;
    assert_eq!(HEADER_NAMES[usize::from(name::HOST.0) - 1], "host");
    assert_eq!(HEADER_NAMES[usize::from(name::TRANSFER_ENCODING.0) - 1], "transfer-encoding");
}
