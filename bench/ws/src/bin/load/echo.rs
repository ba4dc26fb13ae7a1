//! Closed loop: one message of each connection is on its way at any time.

use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use bench_ws::frame;
use mio::{Events, Poll};

use crate::figures::Figures;
use crate::link::{self, Link};
use crate::{Load, Target};

pub struct Echo {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    /// When the message that is on its way was sent.
    sent_at: Vec<Instant>,
    request: Vec<u8>,
    answer: Vec<u8>,
    buffer: Vec<u8>,
}

impl Echo {
    pub fn open(target: &Target) -> Result<Self> {
        let payload: Vec<u8> = (b'a'..=b'z').cycle().take(target.bytes).collect();
        let poll = Poll::new()?;
        let mut links = Vec::with_capacity(target.connections);
        for (number, stream) in link::connect_all(target.port, &target.path, target.connections)?.into_iter().enumerate() {
            let mut link = Link::new(stream)?;
            link.register(poll.registry(), number)?;
            links.push(link);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(target.connections.max(1)),
            sent_at: vec![Instant::now(); links.len()],
            links,
            request: frame::masked_text(&payload),
            answer: frame::plain_text(&payload),
            buffer: vec![0; link::BUFFER_BYTES],
        })
    }

    /// Drives the connections that have news; returns how many of them have sent their last message.
    fn turn(&mut self, figures: &mut Figures, end: Instant) -> Result<usize> {
        self.poll.poll(&mut self.events, Some(link::PATIENCE))?;
        if self.events.is_empty() {
            return Err(Error::new(ErrorKind::TimedOut, format!("no answer within {} s", link::PATIENCE.as_secs())));
        }
        let mut ended = 0;
        for event in &self.events {
            let number = event.token().0;
            let link = &mut self.links[number];
            if link.is_sending() {
                link.send(&self.request)?;
            }
            if !link.receive(&self.answer, &mut self.buffer)? {
                continue;
            }
            let now = Instant::now();
            if now < end {
                figures.note(1, now - self.sent_at[number]);
                self.sent_at[number] = now;
                link.send(&self.request)?;
            } else {
                ended += 1;
            }
        }
        Ok(ended)
    }
}

impl Load for Echo {
    /// Messages count when their echo is here within the time; the last ones are awaited.
    fn run(&mut self, length: Duration) -> Result<String> {
        let mut figures = Figures::start();
        let end = figures.began() + length;
        for (link, sent_at) in self.links.iter_mut().zip(&mut self.sent_at) {
            *sent_at = Instant::now();
            link.send(&self.request)?;
        }
        let mut ended = 0;
        while ended < self.links.len() {
            ended += self.turn(&mut figures, end)?;
        }
        Ok(figures.json(end))
    }
}
