//! Plays a connection without a socket: feeds pieces of input to the core and writes down what comes out. The fuzz target uses the
//! same player.

use std::borrow::Cow;

use httpkit_engine::websocket::{Closed, Event, Received, State, WebSocket};

/// http-kit's default limit of a message.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// An event as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed(Closed),
}

/// What became of an input.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Seen>,
    /// Messages and control payloads that were handed out where they lay in the input.
    pub(crate) borrowed: usize,
    /// Input bytes shown to the core by the time of each event.
    pub(crate) fed: Vec<usize>,
    /// The most memory the core held between two reads.
    pub(crate) most_held: usize,
}

/// Feeds a connection; the same for every cut.
pub(crate) struct Player {
    pub(crate) socket: WebSocket,
    pub(crate) outcome: Outcome,
    fed: usize,
}

impl Player {
    pub(crate) fn new(max_message: usize) -> Self {
        Self { socket: WebSocket::new(max_message as u32), outcome: Outcome::default(), fed: 0 }
    }

    /// One read of the socket.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut read = piece.to_vec();
        let mut input = read.as_mut_slice();
        self.fed += piece.len();
        while !input.is_empty() {
            let length = input.len();
            let Received { consumed, event } = self.socket.receive(input);
            assert!(consumed > 0 && consumed <= length);
            assert!(event.is_some() || consumed == length, "input left without an event");
            if let Some(event) = event {
                let seen = self.note(event);
                self.outcome.events.push(seen);
                self.outcome.fed.push(self.fed);
            }
            input = &mut input[consumed..];
        }
        self.outcome.most_held = self.outcome.most_held.max(self.socket.held());
    }

    fn note(&mut self, event: Event<'_>) -> Seen {
        let mut bytes = |payload: Cow<'_, [u8]>| {
            self.outcome.borrowed += usize::from(matches!(payload, Cow::Borrowed(_)));
            payload.into_owned()
        };
        match event {
            Event::Text(text) => {
                assert!(std::str::from_utf8(&text).is_ok(), "text that is not UTF-8");
                Seen::Text(bytes(text))
            }
            Event::Binary(payload) => Seen::Binary(bytes(payload)),
            Event::Ping(payload) => Seen::Ping(bytes(payload)),
            Event::Pong(payload) => Seen::Pong(bytes(payload)),
            Event::Closed(closed) => {
                assert_eq!(self.socket.state(), State::Closed);
                Seen::Closed(*closed)
            }
        }
    }
}

/// Feeds the pieces one after the other, as reads of a socket.
pub(crate) fn play<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_message: usize) -> Outcome {
    let mut player = Player::new(max_message);
    pieces.into_iter().for_each(|piece| player.feed(piece));
    player.outcome
}

pub(crate) fn play_whole(input: &[u8], max_message: usize) -> Outcome {
    play([input], max_message)
}

pub(crate) fn play_split(input: &[u8], at: usize, max_message: usize) -> Outcome {
    let (first, second) = input.split_at(at);
    play([first, second], max_message)
}

pub(crate) fn play_bytes(input: &[u8], max_message: usize) -> Outcome {
    play(input.chunks(1), max_message)
}
