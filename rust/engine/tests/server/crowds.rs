//! A thousand clients that send too slowly, and one who does not (docs/RELIABILITY.md, R1, R2). Each test runs in a process of
//! its own, for the descriptors.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use crate::support::child::alone;
use crate::support::client::{Client, Ending};
use crate::support::{Fixture, timeouts};

const CROWD: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(2);
/// By how much a deadline may be passed (docs/RELIABILITY.md).
const GRACE: Duration = Duration::from_secs(2);

fn gather(fixture: &Fixture, start: &str) -> Vec<Client> {
    let mut crowd: Vec<Client> = (0..CROWD).map(|_| fixture.connect()).collect();
    for client in &mut crowd {
        client.send(start);
        client.stream.set_nonblocking(true).unwrap();
    }
    crowd
}

/// True if the server has said something or has closed the connection.
fn is_told(client: &Client) -> bool {
    !matches!(client.stream.peek(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Takes those out of the crowd to whom the server has said something: 408, and that it closes.
fn remove_refused(crowd: &mut Vec<Client>) {
    crowd.retain_mut(|client| {
        let told = is_told(client);
        if told {
            client.stream.set_nonblocking(false).unwrap();
            assert_eq!(client.response().status, 408);
            assert_eq!(client.ending(), Ending::Closed);
        }
        !told
    });
}

/// Every client sends the next byte. What is sent to a connection that the server closes at this moment may fail.
fn dribble(crowd: &mut [Client], byte: u8) {
    crowd.iter_mut().for_each(|client| drop(client.stream.write(&[byte])));
}

#[test]
fn r1_a_crowd_that_dribbles_heads_is_refused_in_time_while_others_are_served() {
    alone("crowds::r1_a_crowd_that_dribbles_heads_is_refused_in_time_while_others_are_served", || {
        let fixture = Fixture::with(|config| config.timeouts = timeouts(TIMEOUT.as_millis() as u64, 0, 0, 0));
        let mut crowd = gather(&fixture, "GET / HTTP/1.1\r\nHost: x\r\n");
        let start = Instant::now();
        let mut rounds = 0;
        // Neither the lines nor the head come to their limits.
        for byte in b"A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".iter().cycle() {
            remove_refused(&mut crowd);
            if crowd.is_empty() {
                break;
            }
            assert!(start.elapsed() < TIMEOUT + GRACE, "{} of {CROWD} are left", crowd.len());
            dribble(&mut crowd, *byte);
            // The pause between two bytes of a client.
            assert_eq!(fixture.get("/a").status, 200);
            rounds += 1;
        }
        assert!(rounds > 2, "others waited for the crowd, or nothing was dribbled");
        assert_eq!(fixture.app.wait("all refusals", |log| log.rejected.len() >= CROWD).rejected, [408; CROWD]);
    });
}

#[test]
fn r2_a_crowd_whose_bodies_stall_is_refused_in_time_while_others_are_served() {
    alone("crowds::r2_a_crowd_whose_bodies_stall_is_refused_in_time_while_others_are_served", || {
        let fixture = Fixture::with(|config| config.timeouts = timeouts(0, TIMEOUT.as_millis() as u64, 0, 0));
        let mut crowd = gather(&fixture, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        for _ in 0..20 {
            dribble(&mut crowd, b'b');
            assert_eq!(fixture.get("/a").status, 200);
        }
        assert!(!crowd.iter().any(is_told), "nobody who sends is refused");
        let start = Instant::now();
        while !crowd.is_empty() {
            assert!(start.elapsed() < TIMEOUT + GRACE, "{} of {CROWD} are left", crowd.len());
            assert_eq!(fixture.get("/a").status, 200);
            remove_refused(&mut crowd);
        }
        assert_eq!(fixture.app.wait("all refusals", |log| log.rejected.len() >= CROWD).rejected, [408; CROWD]);
    });
}
