//! Connections that have each had one message echoed, and nothing since.

use std::io::{Error, Read, Result, Write};
use std::time::Duration;

use bench_ws::frame;

use crate::link::{self, Link};
use crate::{Load, Target};

pub struct Idle {
    links: Vec<Link>,
}

impl Idle {
    pub fn open(target: &Target) -> Result<Self> {
        let payload: Vec<u8> = (b'a'..=b'z').cycle().take(target.bytes).collect();
        let (request, expected) = (frame::masked_text(&payload), frame::plain_text(&payload));
        let mut answer = vec![0; expected.len()];
        let mut links = Vec::with_capacity(target.connections);
        for number in 0..target.connections {
            let mut stream = link::connect(target.port, &target.path, number)?;
            stream.write_all(&request)?;
            stream.read_exact(&mut answer)?;
            if answer != expected {
                return Err(Error::other(format!("a wrong answer on connection {number}")));
            }
            links.push(Link::new(stream)?);
        }
        Ok(Self { links })
    }
}

impl Load for Idle {
    /// Counts the connections that the server has kept; returns at once.
    fn run(&mut self, _length: Duration) -> Result<String> {
        let kept = self.links.iter_mut().map(|link| usize::from(link.is_idle())).sum::<usize>();
        Ok(format!(r#"{{"kept":{kept}}}"#))
    }
}
