//! Whoever has a connection's lock may keep it, as a thread that reads a file from a disk that does not answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use httpkit_engine::{BodySource, with_exchange};

use crate::support::application::head;
use crate::support::client::{Client, Ending};
use crate::support::{Fixture, PATIENCE};

/// A body whose first byte comes when the test says so.
struct Stuck {
    begun: Sender<()>,
    go_on: Receiver<()>,
    left: u64,
}

impl BodySource for Stuck {
    fn remaining(&self) -> u64 {
        self.left
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.begun.send(()).unwrap();
        self.go_on.recv_timeout(PATIENCE).unwrap();
        buffer[0] = b's';
        self.left = 0;
        1
    }
}

/// An answer of one byte that is not written yet, its connection locked.
struct Answer {
    client: Client,
    release: Sender<()>,
    writer: JoinHandle<()>,
}

impl Answer {
    /// `behind`: what the client sends with its request.
    fn begin(fixture: &Fixture, behind: &[u8]) -> Self {
        Self::to(fixture, "/hold", 1, behind)
    }

    /// `count`: which of the requests that are held this is, from 1.
    fn to(fixture: &Fixture, path: &str, count: usize, behind: &[u8]) -> Self {
        let mut client = fixture.connect();
        client.send([format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), behind].concat());
        let id = fixture.app.held(count);
        let ((begun, has_begun), (release, go_on)) = (channel(), channel());
        let writer = std::thread::spawn(move || {
            let source = Box::new(Stuck { begun, go_on, left: 1 });
            let _ = with_exchange(id, |exchange| exchange.respond_source(head(200), source));
        });
        has_begun.recv_timeout(PATIENCE).unwrap();
        Self { client, release, writer }
    }

    fn end(self) -> Client {
        self.release.send(()).unwrap();
        self.writer.join().unwrap();
        self.client
    }
}

#[test]
fn it_holds_up_no_deadline_of_others() {
    let fixture = Fixture::new();
    // More than is read ahead, so that a look for the client is due every second.
    let mut behind = Vec::new();
    while behind.len() < 200_000 {
        behind.extend_from_slice(b"GET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let answer = Answer::begin(&fixture, &behind);
    let mut idle = fixture.connect();
    idle.upgrade("/ws/2000");
    assert_eq!(idle.frame().0, 0x88, "closed for its silence");
    assert_eq!(fixture.get("/a").status, 200);
    assert_eq!(answer.end().response().text(), "s");
}

/// One for each reactor.
fn reactors() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

/// Others are served while these wait, and these afterwards.
fn hold_up_nobody(fixture: &Fixture, answers: Vec<Answer>) {
    for _ in 0..2 * reactors() {
        assert_eq!(fixture.get("/a").status, 200);
    }
    for answer in answers {
        let mut client = answer.end();
        assert_eq!(client.response().text(), "s");
        client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn what_its_client_sends_holds_up_nobody() {
    let fixture = Fixture::new();
    let mut answers: Vec<_> = (1..=reactors()).map(|count| Answer::to(&fixture, "/hold", count, b"")).collect();
    for answer in &mut answers {
        answer.client.send("\r\n");
    }
    hold_up_nobody(&fixture, answers);
}

#[test]
fn nor_does_a_handler_that_returns_after_another_thread_began_its_answer() {
    let fixture = Fixture::new();
    let answers = (1..=reactors())
        .map(|count| {
            let answer = Answer::to(&fixture, &format!("/hold-block/{count}"), count, b"");
            fixture.app.release(count as u64);
            answer
        })
        .collect();
    hold_up_nobody(&fixture, answers);
}

#[test]
fn it_does_not_hold_up_a_stop_which_is_done_once_it_is_over() {
    for cuts in [false, true] {
        let fixture = Fixture::new();
        let answer = Answer::begin(&fixture, b"");
        let server = fixture.server.clone();
        let (returned, has_returned) = channel();
        std::thread::spawn(move || {
            if cuts {
                server.close();
            } else {
                server.drain();
            }
            let _ = returned.send(());
        });
        has_returned.recv_timeout(PATIENCE / 2).unwrap();
        let mut client = answer.end();
        assert_eq!(client.response().text(), "s");
        assert_eq!(client.ending(), Ending::Closed);
        drop(client);
        fixture.app.wait("the end of the connection", |log| log.drained == 1);
    }
}
