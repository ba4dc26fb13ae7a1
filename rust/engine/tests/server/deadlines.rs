//! A client that is too slow is let go, one that only waits for the application is not (docs/RELIABILITY.md, R1 to R3).

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use httpkit_engine::{CloseCause, Sent, with_exchange};

use crate::support::application::{head, spawn_flood};
use crate::support::client::{Client, Ending};
use crate::support::{Fixture, PATIENCE, timeouts};

/// By how much a deadline may be passed (docs/RELIABILITY.md).
const GRACE: Duration = Duration::from_secs(2);

/// Sends `bytes` one at a time, a pause before each, until all are sent or the server says something.
fn drip(client: &mut Client, bytes: &[u8], pause: Duration) {
    client.stream.set_read_timeout(Some(pause)).unwrap();
    for byte in bytes {
        match client.stream.peek(&mut [0; 1]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => client.send([*byte]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn r1_a_head_that_does_not_end_is_refused() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(300, 0, 0, 0));
    let start = Instant::now();
    let mut stalled = fixture.connect();
    stalled.send("GET / HTTP/1.1\r\nHost: x\r\n");
    let mut silent = fixture.connect();
    let mut slow = fixture.connect();
    let endless = "GET / HTTP/1.1\r\n".to_owned() + &"A: b\r\n".repeat(1000);
    drip(&mut slow, endless.as_bytes(), Duration::from_millis(20));
    for client in [&mut slow, &mut stalled] {
        assert_eq!(client.response().status, 408);
        assert_eq!(client.ending(), Ending::Closed);
    }
    assert_eq!(silent.ending(), Ending::Closed);
    assert!(start.elapsed() < Duration::from_millis(300) + GRACE, "{:?}", start.elapsed());
    assert_eq!(fixture.app.wait("both refusals", |log| log.rejected.len() > 1).rejected, [408, 408]);
    assert_eq!(fixture.get("/a").status, 200);
}

#[test]
fn r1_the_second_head_has_its_own_deadline() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(300, 0, 0, 0));
    let mut client = fixture.connect();
    assert_eq!(client.get("/a").status, 200);
    client.send("GET / HTTP/1.1\r\n");
    assert_eq!(client.response().status, 408);
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn r2_a_body_that_stalls_is_refused_and_one_that_moves_is_not() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 2000, 0, 0));
    let start = Instant::now();
    let framings = ["Content-Length: 50\r\n\r\nhel", "Transfer-Encoding: chunked\r\n\r\n32\r\nhel"];
    let mut stalled = framings.map(|framing| {
        let mut client = fixture.connect();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{framing}"));
        client
    });
    let mut slow = fixture.connect();
    slow.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n");
    drip(&mut slow, &[b'a'; 40], Duration::from_millis(60));
    assert_eq!(slow.response().body.len(), 40);
    assert!(start.elapsed() > Duration::from_millis(2100), "longer than the deadline, or nothing was shown");
    for client in &mut stalled {
        assert_eq!(client.response().status, 408);
        assert_eq!(client.ending(), Ending::Closed);
    }
    assert!(start.elapsed() < Duration::from_millis(2000) + GRACE, "{:?}", start.elapsed());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, 0, 200));
    let start = Instant::now();
    let mut client = fixture.connect();
    assert_eq!(client.get("/a").status, 200);
    assert_eq!(client.get("/later/1").status, 200);
    assert_eq!(client.ending(), Ending::Closed);
    assert!((Duration::from_millis(190)..Duration::from_millis(200) + GRACE).contains(&start.elapsed()));
    assert_eq!(fixture.app.log().rejected, [0; 0]);
}

#[test]
fn the_application_may_take_any_time() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(300, 300, 300, 300));
    let mut client = fixture.connect();
    client.send("POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    let id = fixture.app.held(1);
    // Each of these is closed by a deadline that began after the request was handed out.
    for _ in 0..3 {
        let mut clock = fixture.connect();
        assert_eq!(clock.get("/a").status, 200);
        assert_eq!(clock.ending(), Ending::Closed);
    }
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"held")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.response().text(), "held");
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().closed, []);
}

#[test]
fn a_stream_may_pause() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(300, 300, 300, 300));
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(client.head().status, 200);
    for piece in [b"one", b"two"] {
        let mut clock = fixture.connect();
        assert_eq!(clock.get("/a").status, 200);
        assert_eq!(clock.ending(), Ending::Closed);
        assert_eq!(with_exchange(id, |exchange| exchange.send(piece, false)), Some(Sent::Accepted));
        assert_eq!(client.chunk(), piece);
    }
}

#[test]
fn r3_a_client_that_does_not_read_is_cut() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, 300, 0));
    for path in ["/big/64000000", "/file/64000000", "/source/64000000"] {
        let mut client = fixture.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.head();
        let start = Instant::now();
        client.wait_for_reset();
        assert!(start.elapsed() < Duration::from_millis(300) + GRACE, "{path}: {:?}", start.elapsed());
        let mut rest = Vec::new();
        assert_eq!(client.rest(&mut rest), Ending::Reset, "{path}");
        assert!(rest.len() < 64_000_000, "{path}");
    }
}

#[test]
fn r3_a_stream_that_is_not_read_is_cut() {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, 300, 0));
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    let start = Instant::now();
    spawn_flood(&fixture.app, id, 2000).join().unwrap();
    assert!(start.elapsed() < Duration::from_millis(300) + GRACE, "{:?}", start.elapsed());
    client.wait_for_reset();
    let log = fixture.app.log();
    assert_eq!(log.closed, [(id, CloseCause::Timeout)]);
    assert!(log.flood.len() < 2000, "{} pieces", log.flood.len());
}

#[test]
fn r3_a_client_that_reads_slowly_but_steadily_gets_everything() {
    // More than the sockets' buffers hold, so that the server waits for the client most of the time.
    read_slowly(Duration::from_millis(2000), &[1_000_000; 24], 0);
}

#[test]
fn r3_a_client_that_reads_more_slowly_than_a_socket_says_it_has_room_is_not_cut() {
    read_slowly(Duration::from_millis(1000), &[30_000; 40], 18_800_000);
}

/// Takes the parts with a pause before each, longer than the write timeout in all, and then the rest at once.
fn read_slowly(timeout: Duration, parts: &[usize], rest: usize) {
    let fixture = Fixture::with(|config| config.timeouts = timeouts(0, 0, timeout.as_millis() as u64, 0));
    let read = |mode: &str| {
        let mut client = fixture.connect();
        client.send(format!("GET {mode}/{} HTTP/1.1\r\nHost: x\r\n\r\n", parts.iter().sum::<usize>() + rest));
        assert_eq!(client.head().status, 200);
        let start = Instant::now();
        let quiet = fixture.connect();
        quiet.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        for part in parts {
            // Nothing ever comes from the quiet connection: this is the client's pause.
            assert!(quiet.stream.peek(&mut [0; 1]).is_err());
            client.take(*part);
        }
        assert!(start.elapsed() > timeout + Duration::from_millis(300), "{mode}: or nothing was shown");
        client.take(rest);
        assert_eq!(client.get("/next").text(), "/next");
    };
    std::thread::scope(|scope| {
        for mode in ["/file", "/source", "/big"] {
            let read = &read;
            scope.spawn(move || read(mode));
        }
    });
}
