//! A client's frames put together to messages (RFC 6455 sections 5.4 and 6.2).
//!
//! All input is consumed: a head cut in two waits here, in place, and the payload of a message that is not complete is collected.
//! So the buffer the socket is read into belongs to nobody between two reads.

use std::borrow::Cow;

use super::close_code::CloseCode;
use super::frame_head::{Expected, FrameHead, MAX_HEAD};
use super::mask::unmask;
use super::opcode::Opcode;
use super::utf8::Utf8;
use super::violation::Violation;
use crate::growth::reserve;

/// Reads the frames of one connection.
#[derive(Debug)]
pub(super) struct Decoder {
    max_message: u32,
    phase: Phase,
    /// Of the message that has begun. None between messages.
    kind: Option<Kind>,
    is_discarding: bool,
    /// Boxed: nearly always a message is one frame, and comes in one piece.
    collected: Option<Box<Collected>>,
}

#[derive(Debug)]
enum Phase {
    /// At the head of a frame, of which these bytes have come.
    Head { bytes: [u8; MAX_HEAD], length: u8 },
    /// In the payload of a frame, of which that much has come.
    Payload { head: FrameHead, received: u64 },
    /// Whatever comes is ignored.
    Ended,
}

/// Payloads that are not complete.
#[derive(Debug, Default)]
struct Collected {
    message: Vec<u8>,
    utf8: Utf8,
    /// Of a control frame, which may come between the frames of a message.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// What [`Decoder::decode`] found.
#[derive(Debug)]
pub(super) struct Decoded<'i> {
    /// The input after it. Empty if nothing was found.
    pub(super) rest: &'i mut [u8],
    /// The first message or control frame that is complete.
    pub(super) item: Option<Item<'i>>,
}

/// A whole message or a control frame, without its mask. A borrowed payload lies in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<'i> {
    /// A message of valid UTF-8.
    Text(Cow<'i, [u8]>),
    /// A message of bytes.
    Binary(Cow<'i, [u8]>),
    /// A ping's payload.
    Ping(Cow<'i, [u8]>),
    /// A pong's payload.
    Pong(Cow<'i, [u8]>),
    /// The last frame: what comes after it is ignored.
    Close(CloseFrame),
}

/// The payload of a Close frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CloseFrame {
    /// None if the frame was empty.
    pub(super) code: Option<CloseCode>,
    /// May be empty.
    pub(super) reason: String,
}

impl Decoder {
    /// A decoder at the start of a connection. `max_message` bounds a message, all its fragments together.
    pub(super) fn new(max_message: u32) -> Self {
        Self { max_message, phase: Phase::START, kind: None, is_discarding: false, collected: None }
    }

    /// Reads up to the end of the next item and takes off its mask in place, so no byte may be shown twice.
    /// After a [`Violation`] nothing more is read.
    pub(super) fn decode<'i>(&mut self, input: &'i mut [u8]) -> Result<Decoded<'i>, Violation> {
        let decoded = self.decode_frames(input);
        if decoded.is_err() {
            self.end();
        }
        decoded
    }

    /// From here on messages are checked for their framing only, and neither kept nor returned.
    pub(super) fn discard_messages(&mut self) {
        self.is_discarding = true;
        if let Some(collected) = &mut self.collected {
            collected.message = Vec::new();
        }
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.collected.as_ref().map_or(0, |collected| collected.message.capacity() + collected.control.capacity())
    }

    /// Bytes of a message that is not complete.
    pub(super) fn collected(&self) -> usize {
        self.collected.as_ref().map_or(0, |collected| collected.message.len())
    }

    /// True while a frame or a message is not complete.
    pub(super) fn is_mid_message(&self) -> bool {
        self.kind.is_some() || !matches!(self.phase, Phase::Head { length: 0, .. })
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.end_message();
    }

    fn end_message(&mut self) {
        self.kind = None;
        self.collected = None;
    }

    #[inline]
    fn decode_frames<'i>(&mut self, mut input: &'i mut [u8]) -> Result<Decoded<'i>, Violation> {
        loop {
            let (head, received) = match self.phase {
                Phase::Ended => return Ok(Decoded { rest: &mut [], item: None }),
                Phase::Payload { head, received } => (head, received),
                Phase::Head { .. } => {
                    let Some((head, length)) = self.read_head(input)? else {
                        return Ok(Decoded { rest: &mut [], item: None });
                    };
                    input = &mut input[length..];
                    self.phase = Phase::Payload { head, received: 0 };
                    (head, 0)
                }
            };
            let missing = head.length - received;
            if (input.len() as u64) < missing {
                self.phase = Phase::Payload { head, received: received + input.len() as u64 };
                self.take_piece(&head, received, input)?;
                return Ok(Decoded { rest: &mut [], item: None });
            }
            // `missing` is at most input.len().
            let (payload, rest) = std::mem::take(&mut input).split_at_mut(missing as usize);
            self.phase = Phase::START;
            let item = self.finish_frame(&head, received, payload)?;
            if item.is_some() {
                return Ok(Decoded { rest, item });
            }
            input = rest;
        }
    }

    /// Reads a head, or stores what there is of it. Returns the bytes of the input it took.
    #[inline]
    fn read_head(&mut self, input: &[u8]) -> Result<Option<(FrameHead, usize)>, Violation> {
        let expected = Expected {
            message_open: self.kind.is_some(),
            received: self.collected.as_ref().map_or(0, |collected| collected.message.len() as u64),
            max_message: if self.is_discarding { u64::MAX } else { u64::from(self.max_message) },
        };
        let Phase::Head { bytes, length } = &mut self.phase else { return Ok(None) };
        let stored = usize::from(*length);
        if stored == 0 {
            if let Some(found) = FrameHead::parse(input, expected)? {
                return Ok(Some(found));
            }
        }
        let more = input.len().min(MAX_HEAD - stored);
        bytes[stored..stored + more].copy_from_slice(&input[..more]);
        *length += more as u8;
        let found = FrameHead::parse(&bytes[..stored + more], expected)?;
        Ok(found.map(|(head, length)| (head, length - stored)))
    }

    /// A payload goes on after this piece.
    fn take_piece(&mut self, head: &FrameHead, received: u64, piece: &mut [u8]) -> Result<(), Violation> {
        if head.opcode.is_control() {
            unmask(piece, head.mask, received);
            self.collected.get_or_insert_default().control.extend_from_slice(piece);
            return Ok(());
        }
        self.begin(head.opcode);
        if self.is_discarding {
            return Ok(());
        }
        unmask(piece, head.mask, received);
        self.append(head, received, piece)
    }

    /// The payload ends with this piece, which may be all of it.
    #[inline]
    fn finish_frame<'i>(&mut self, head: &FrameHead, received: u64, piece: &'i mut [u8]) -> Result<Option<Item<'i>>, Violation> {
        if head.opcode.is_control() {
            unmask(piece, head.mask, received);
            return self.finish_control(head.opcode, piece).map(Some);
        }
        self.begin(head.opcode);
        if self.is_discarding {
            if head.is_final {
                self.end_message();
            }
            return Ok(None);
        }
        unmask(piece, head.mask, received);
        let is_whole = head.is_final && received == 0 && head.opcode != Opcode::Continuation;
        if is_whole {
            let kind = self.kind.take();
            if kind == Some(Kind::Text) && std::str::from_utf8(piece).is_err() {
                return Err(Violation::Utf8);
            }
            return Ok(kind.map(|kind| kind.item(Cow::Borrowed(piece))));
        }
        self.append(head, received, piece)?;
        if !head.is_final {
            return Ok(None);
        }
        let Collected { message, utf8, .. } = self.collected.take().map_or_else(Collected::default, |collected| *collected);
        if !utf8.is_complete() {
            return Err(Violation::Utf8);
        }
        Ok(self.kind.take().map(|kind| kind.item(Cow::Owned(message))))
    }

    fn begin(&mut self, opcode: Opcode) {
        match opcode {
            Opcode::Text => self.kind = Some(Kind::Text),
            Opcode::Binary => self.kind = Some(Kind::Binary),
            _ => {}
        }
    }

    fn append(&mut self, head: &FrameHead, received: u64, piece: &[u8]) -> Result<(), Violation> {
        let Collected { message, utf8, .. } = &mut **self.collected.get_or_insert_default();
        if self.kind == Some(Kind::Text) && !utf8.push(piece) {
            return Err(Violation::Utf8);
        }
        // Where the end is known; the head was checked against the limit, so all of this fits a usize.
        let most = if head.is_final { message.len() + (head.length - received) as usize } else { self.max_message as usize };
        if !reserve(message, piece.len(), 0, most) {
            return Err(Violation::NoRoom);
        }
        message.extend_from_slice(piece);
        Ok(())
    }

    fn finish_control<'i>(&mut self, opcode: Opcode, piece: &'i mut [u8]) -> Result<Item<'i>, Violation> {
        let payload = match &mut self.collected {
            Some(collected) if !collected.control.is_empty() => {
                collected.control.extend_from_slice(piece);
                Cow::Owned(std::mem::take(&mut collected.control))
            }
            _ => Cow::Borrowed(&*piece),
        };
        if self.kind.is_none() {
            self.collected = None;
        }
        Ok(match opcode {
            Opcode::Ping => Item::Ping(payload),
            Opcode::Pong => Item::Pong(payload),
            _ => {
                let frame = CloseFrame::parse(&payload)?;
                self.end();
                Item::Close(frame)
            }
        })
    }
}

impl Phase {
    const START: Self = Self::Head { bytes: [0; MAX_HEAD], length: 0 };
}

impl Kind {
    fn item(self, payload: Cow<'_, [u8]>) -> Item<'_> {
        match self {
            Self::Text => Item::Text(payload),
            Self::Binary => Item::Binary(payload),
        }
    }
}

impl CloseFrame {
    fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return if payload.is_empty() { Ok(Self::default()) } else { Err(Violation::HalfCloseCode) };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.may_be_received() {
            return Err(Violation::CloseCode(code.0));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
        Ok(Self { code: Some(code), reason: reason.to_owned() })
    }
}
