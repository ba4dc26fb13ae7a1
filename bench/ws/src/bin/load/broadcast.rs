//! One message to many: the time until the last connection has it.

use std::io::{Error, ErrorKind, Result, Write};
use std::time::{Duration, Instant};

use bench_ws::frame;
use mio::{Events, Poll};

use crate::figures::Figures;
use crate::link::{self, Link};
use crate::{Load, Target, invalid};

/// Where a message goes that everybody is to hear.
const SHOUT_PATH: &str = "/shout";

/// Each message starts with its number, in hexadecimal digits.
const NUMBER_BYTES: usize = 16;

pub struct Broadcast {
    poll: Poll,
    events: Events,
    listeners: Vec<Link>,
    shouter: std::net::TcpStream,
    bytes: usize,
    number: u64,
    buffer: Vec<u8>,
}

impl Broadcast {
    pub fn open(target: &Target) -> Result<Self> {
        if target.bytes < NUMBER_BYTES {
            return Err(invalid(&format!("a broadcast needs {NUMBER_BYTES} bytes or more")));
        }
        let poll = Poll::new()?;
        let mut listeners = Vec::with_capacity(target.connections);
        for (number, stream) in link::connect_all(target.port, &target.path, target.connections)?.into_iter().enumerate() {
            let mut link = Link::new(stream)?;
            link.register(poll.registry(), number)?;
            listeners.push(link);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listeners,
            shouter: link::connect(target.port, SHOUT_PATH, target.connections)?,
            bytes: target.bytes,
            number: 0,
            buffer: vec![0; link::BUFFER_BYTES],
        })
    }

    /// Sends one message and waits until every listener has it; returns how long that took.
    fn shout(&mut self) -> Result<Duration> {
        self.number += 1;
        let payload = format!("{:0NUMBER_BYTES$x}{}", self.number, "x".repeat(self.bytes - NUMBER_BYTES));
        let answer = frame::plain_text(payload.as_bytes());
        let request = frame::masked_text(payload.as_bytes());
        let began = Instant::now();
        self.shouter.write_all(&request)?;
        let mut waiting = self.listeners.len();
        while waiting > 0 {
            self.poll.poll(&mut self.events, Some(link::PATIENCE))?;
            if self.events.is_empty() {
                return Err(Error::new(ErrorKind::TimedOut, format!("{waiting} listeners without message {}", self.number)));
            }
            for event in &self.events {
                waiting -= usize::from(self.listeners[event.token().0].receive(&answer, &mut self.buffer)?);
            }
        }
        Ok(began.elapsed())
    }
}

impl Load for Broadcast {
    /// Messages count once for each listener; the waits are those of the last listener.
    fn run(&mut self, length: Duration) -> Result<String> {
        let mut figures = Figures::start();
        let end = figures.began() + length;
        while Instant::now() < end {
            let wait = self.shout()?;
            figures.note(self.listeners.len() as u64, wait);
        }
        Ok(figures.json(Instant::now()))
    }
}
