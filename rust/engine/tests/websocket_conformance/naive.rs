//! A second reader, as slow and as plain as can be, written without a look at the core: it sees the whole input at once.

use crate::driver::Seen;
use httpkit_engine::websocket::{CloseCode, Closed, Violation};

/// The events of an input, in order.
pub(crate) fn read(input: &[u8], max_message: usize) -> Vec<Seen> {
    let mut reader = Reader { input, events: Vec::new(), message: None, max_message };
    if let Err(violation) = reader.run() {
        let code = violation.close_code();
        let reply = Some([&[0x88, 2], code.0.to_be_bytes().as_slice()].concat());
        reader.events.push(Seen::Closed(Closed { code, reason: violation.to_string(), violation: Some(violation), reply }));
    }
    reader.events
}

struct Reader<'a> {
    input: &'a [u8],
    events: Vec<Seen>,
    /// Opcode and bytes of the message that has begun.
    message: Option<(u8, Vec<u8>)>,
    max_message: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let (taken, rest) = self.input.split_at_checked(count)?;
        self.input = rest;
        Some(taken.to_vec())
    }

    fn run(&mut self) -> Result<(), Violation> {
        while self.frame()?.is_some() {}
        Ok(())
    }

    /// None when the input or the connection ends.
    fn frame(&mut self) -> Result<Option<()>, Violation> {
        let Some(first) = self.take(1) else { return Ok(None) };
        let (is_final, reserved, opcode) = (first[0] >= 128, first[0] & 0b111_0000, first[0] % 16);
        if reserved != 0 {
            return Err(Violation::ReservedBits);
        }
        match (opcode, &self.message) {
            (3..=7 | 11.., _) => return Err(Violation::Opcode(opcode)),
            (0, None) => return Err(Violation::NothingToContinue),
            (1 | 2, Some(_)) => return Err(Violation::MessageStillOpen),
            (8.., _) if !is_final => return Err(Violation::FragmentedControl),
            _ => {}
        }
        let Some(second) = self.take(1) else { return Ok(None) };
        if second[0] < 128 {
            return Err(Violation::Unmasked);
        }
        let length = match second[0] - 128 {
            126.. if opcode >= 8 => return Err(Violation::ControlTooLong),
            126 => {
                let Some(field) = self.take(2) else { return Ok(None) };
                let length = u64::from(field[0]) * 256 + u64::from(field[1]);
                if length < 126 {
                    return Err(Violation::LongLength16);
                }
                length
            }
            127 => {
                let Some(field) = self.take(8) else { return Ok(None) };
                let length = field.iter().fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
                if length < 65536 || field[0] >= 128 {
                    return Err(Violation::LongLength64);
                }
                length
            }
            short => u64::from(short),
        };
        let so_far = self.message.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let (max, got) = (self.max_message as u64, so_far as u64 + length);
        if opcode < 8 && got > max {
            return Err(Violation::TooBig { max, got });
        }
        let Some(mask) = self.take(4) else { return Ok(None) };
        let there = self.input.len().min(length as usize);
        let masked = self.take(there).unwrap();
        let payload: Vec<u8> = (0..).zip(masked).map(|(place, byte): (usize, u8)| byte ^ mask[place % 4]).collect();
        let is_complete = there as u64 == length;
        if opcode >= 8 {
            return if is_complete { self.control(opcode, payload) } else { Ok(None) };
        }
        let (kind, message) = self.message.get_or_insert((opcode, Vec::new()));
        message.extend_from_slice(&payload);
        let is_last = is_complete && is_final;
        if *kind == 1 && std::str::from_utf8(message).is_err_and(|error| error.error_len().is_some() || is_last) {
            return Err(Violation::Utf8);
        }
        if is_last {
            let (kind, message) = self.message.take().unwrap();
            self.events.push(if kind == 1 { Seen::Text(message) } else { Seen::Binary(message) });
        }
        Ok(is_complete.then_some(()))
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<Option<()>, Violation> {
        match opcode {
            9 => self.events.push(Seen::Ping(payload)),
            10 => self.events.push(Seen::Pong(payload)),
            _ => {
                let reply = Some([&[0x88, payload.len() as u8], payload.as_slice()].concat());
                let (code, reason) = match payload.len() {
                    0 => (1005, String::new()),
                    1 => return Err(Violation::HalfCloseCode),
                    _ => {
                        let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
                        if code < 1000 || (1004..=1006).contains(&code) || (1015..3000).contains(&code) || code > 4999 {
                            return Err(Violation::CloseCode(code));
                        }
                        (code, String::from_utf8(payload[2..].to_vec()).map_err(|_| Violation::Utf8)?)
                    }
                };
                self.events.push(Seen::Closed(Closed { code: CloseCode(code), reason, violation: None, reply }));
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}
