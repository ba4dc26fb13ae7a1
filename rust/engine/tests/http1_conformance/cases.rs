//! The form of the tables: an input, and what must become of it.

use crate::driver::{End, LIMITS, Outcome, play, play_bytes, play_split, play_streamed, play_whole};

/// What must become of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Refused with that status before any request is dispatched.
    Rejected(u16),
    /// That many requests are dispatched and the connection waits for the next.
    Answered(usize),
    /// Nothing happens: more input is needed.
    Waits,
}

pub(crate) struct Case {
    pub(crate) row: &'static str,
    pub(crate) name: &'static str,
    pub(crate) input: Vec<u8>,
    pub(crate) expect: Expect,
}

pub(crate) fn rejected(row: &'static str, status: u16, name: &'static str, input: impl Into<Vec<u8>>) -> Case {
    Case { row, name, input: input.into(), expect: Expect::Rejected(status) }
}

pub(crate) fn answered(row: &'static str, requests: usize, name: &'static str, input: impl Into<Vec<u8>>) -> Case {
    Case { row, name, input: input.into(), expect: Expect::Answered(requests) }
}

pub(crate) fn waits(row: &'static str, name: &'static str, input: impl Into<Vec<u8>>) -> Case {
    Case { row, name, input: input.into(), expect: Expect::Waits }
}

/// A POST with these framing fields and body; what a second reader would take for a request is called "smuggled".
pub(crate) fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /first HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}").into_bytes()
}

/// A chunked POST.
pub(crate) fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut input = post("Transfer-Encoding: chunked\r\n", "");
    input.extend_from_slice(body.as_ref());
    input
}

/// A GET with one more field line.
pub(crate) fn with_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    let mut input = b"GET /first HTTP/1.1\r\nHost: x\r\n".to_vec();
    input.extend_from_slice(line.as_ref());
    input.extend_from_slice(b"\r\n\r\n");
    input
}

/// A request line followed by a Host field.
pub(crate) fn with_request_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    let mut input = line.as_ref().to_vec();
    input.extend_from_slice(b"\r\nHost: x\r\n\r\n");
    input
}

impl Case {
    /// Plays the input whole, byte by byte and cut in two at every place, and holds each outcome against the expectation.
    pub(crate) fn check(&self) {
        let whole = play_whole(&self.input, &LIMITS);
        self.judge("whole", &whole);
        let bytes = play_bytes(&self.input, &LIMITS);
        self.judge("one byte a read", &bytes);
        assert_eq!(whole.verdict(), bytes.verdict(), "{} {}: whole and byte by byte", self.row, self.name);
        for at in self.places() {
            let split = play_split(&self.input, at, &LIMITS);
            self.judge("in two", &split);
            assert_eq!(whole.verdict(), split.verdict(), "{} {}: cut at {at}", self.row, self.name);
        }
        let streamed = play_streamed(self.input.chunks(1), &LIMITS);
        assert_eq!(whole.verdict(), streamed.verdict(), "{} {}: bodies read while they arrive", self.row, self.name);
        let nothing = play([b"".as_slice(), &self.input, b""], &LIMITS);
        assert_eq!(whole.verdict(), nothing.verdict(), "{} {}: empty reads", self.row, self.name);
    }

    /// Every place to cut; for the few inputs of many kilobytes the places around each limit and some between.
    fn places(&self) -> Vec<usize> {
        let length = self.input.len();
        if length <= 2048 {
            return (1..length).collect();
        }
        let near = |middle: usize| middle.saturating_sub(6)..middle + 7;
        let limits = [0, LIMITS.max_line as usize, LIMITS.max_head as usize, 16 * 1024, length];
        let mut places: Vec<usize> = limits.into_iter().flat_map(near).chain((1..length).step_by(length / 20)).collect();
        places.retain(|place| (1..length).contains(place));
        places
    }

    fn judge(&self, how: &str, outcome: &Outcome) {
        let Self { row, name, .. } = self;
        let (requests, end) = match self.expect {
            Expect::Rejected(status) => (0, End::Rejected(status)),
            Expect::Answered(requests) => (requests, End::Waits),
            Expect::Waits => (0, End::Waits),
        };
        assert_eq!(outcome.end, end, "{row} {name} ({how})");
        assert_eq!(outcome.requests.len(), requests, "{row} {name} ({how})");
        let smuggled = outcome.requests.iter().any(|seen| seen.target.windows(8).any(|part| part == b"smuggled"));
        assert!(!smuggled, "{row} {name} ({how}): dispatched what only another reader may take for a request");
        if self.expect == Expect::Waits {
            assert!(outcome.output.is_empty(), "{row} {name} ({how}): answered {:?}", outcome.output.escape_ascii().to_string());
        }
    }
}
