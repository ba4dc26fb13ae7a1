//! Bodies that are read while they arrive: in pieces of any size, within a window, and never taken for the next request.

use httpkit_engine::{BodyPiece, CloseCause, Counter, Dispatch, ExchangeId, Sent, UpgradeOptions, with_exchange};

use crate::support::application::{head, pattern};
use crate::support::client::{Client, Ending};
use crate::support::{Fixture, eventually, timeouts};

/// Bodies beyond it are streamed.
const ABOVE: usize = 1000;
/// What the engine holds of a body: a window, and the read of the socket that fills it.
const HELD: usize = (256 + 128) * 1024;

fn streaming() -> Fixture {
    Fixture::with(|config| {
        config.limits.stream_above = ABOVE as u64;
        config.limits.max_body = 1 << 40;
    })
}

fn body(length: usize) -> Vec<u8> {
    (0..length as u64).map(pattern).collect()
}

fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n")
}

fn with_length(path: &str, length: usize) -> String {
    post(path, &format!("Content-Length: {length}"))
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for piece in body.chunks(70_000) {
        chunks.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunks.extend_from_slice(piece);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

/// The next piece, once there is one.
fn receive(fixture: &Fixture, id: ExchangeId) -> BodyPiece {
    loop {
        let told = fixture.app.log().readable.len();
        match with_exchange(id, |exchange| exchange.receive()).unwrap_or(BodyPiece::Lost) {
            BodyPiece::Later => drop(fixture.app.wait("more of a body", |log| log.readable.len() > told)),
            piece => return piece,
        }
    }
}

/// So many bytes of a body.
fn receive_all_of(fixture: &Fixture, id: ExchangeId, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        let BodyPiece::Bytes(bytes) = receive(fixture, id) else { panic!("only {} bytes", all.len()) };
        all.extend(bytes);
    }
    all
}

/// The rest of a body.
fn receive_all(fixture: &Fixture, id: ExchangeId) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match receive(fixture, id) {
            BodyPiece::Bytes(bytes) => all.extend_from_slice(&bytes),
            BodyPiece::End => return all,
            other => panic!("{other:?} after {} bytes", all.len()),
        }
    }
}

fn respond(id: ExchangeId, text: &str) {
    with_exchange(id, |exchange| exchange.respond(head(200), text.as_bytes())).unwrap().unwrap();
}

/// A request for the test to answer, of whose body `sent` has been sent.
fn begun(fixture: &Fixture, head: &str, sent: &[u8]) -> (Client, ExchangeId) {
    let mut client = fixture.connect();
    let before = fixture.app.held_count();
    client.send(head);
    client.send(sent);
    let id = fixture.app.held(before + 1);
    (client, id)
}

#[test]
fn a_body_is_read_while_it_arrives() {
    for dispatch in [Dispatch::Pool, Dispatch::InPlace, Dispatch::Adaptive] {
        let fixture = Fixture::with(|config| {
            config.limits.stream_above = ABOVE as u64;
            config.dispatch = dispatch;
        });
        let sent = body(1_000_000);
        let chunked = chunks(&sent);
        let mut client = fixture.connect();
        for (number, (head, wire)) in
            [(with_length("/hold", sent.len()), &sent), (post("/hold", "Transfer-Encoding: chunked"), &chunked)]
                .iter()
                .enumerate()
        {
            client.send(head);
            let id = fixture.app.held(number + 1);
            assert_eq!(with_exchange(id, |exchange| exchange.receive()), Some(BodyPiece::Later));
            client.send(&wire[..500]);
            let BodyPiece::Bytes(mut received) = receive(&fixture, id) else { panic!("no bytes") };
            assert!(!received.is_empty());
            client.send(&wire[500..]);
            received.extend(receive_all(&fixture, id));
            assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
            assert_eq!(receive(&fixture, id), BodyPiece::End, "again");
            respond(id, "all");
            assert_eq!(client.response().text(), "all");
            assert_eq!(receive(&fixture, id), BodyPiece::Lost, "the exchange is over");
        }
        assert_eq!(client.get("/next").text(), "/next");
        assert_eq!(fixture.server.stats()[Counter::InPlace as usize], u64::from(dispatch != Dispatch::Pool), "/next at most");
    }
}

#[test]
fn a_body_that_is_short_or_came_with_its_head_is_not_streamed() {
    let fixture = streaming();
    let mut client = fixture.connect();
    let short = body(ABOVE);
    client.send(with_length("/echo", ABOVE));
    client.send(&short);
    assert_eq!(client.response().body, short);
    let long = body(ABOVE + 1);
    client.send([with_length("/echo", long.len()).as_bytes(), &long].concat());
    assert_eq!(client.response().body, long);
    let next = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    client.send([post("/echo", "Transfer-Encoding: chunked").as_bytes(), &chunks(&long), &next].concat());
    assert_eq!(client.response().body, long);
    assert_eq!(client.response().text(), "/next");
}

#[test]
fn what_is_not_read_waits_at_the_client() {
    let fixture = streaming();
    let sent = body(40_000_000);
    let (client, id) = begun(&fixture, &with_length("/hold", sent.len()), &sent[..1]);
    let mut sender = Client::over(client.stream.try_clone().unwrap());
    let rest = sent[1..].to_vec();
    let sending = std::thread::spawn(move || sender.send(rest));
    let bytes_in = || fixture.server.stats()[Counter::BytesIn as usize];
    // The others' requests are counted as well: on a busy machine the pieces are small, and there are thousands.
    let held = |taken: usize, others: usize| usize::try_from(bytes_in()).unwrap() <= taken + HELD + others * 100 + 10_000;
    eventually("a full window", || bytes_in() >= 256 * 1024);
    let (mut received, mut others) = (Vec::new(), 0);
    while received.len() < sent.len() {
        assert!(held(received.len(), others), "{} bytes read, {} asked for", bytes_in(), received.len());
        // Others have their turn meanwhile.
        assert_eq!(fixture.get("/other").status, 200);
        others += 1;
        let BodyPiece::Bytes(bytes) = receive(&fixture, id) else { panic!("no bytes") };
        assert!(bytes.len() <= HELD);
        received.extend(bytes);
    }
    assert!(received == sent);
    assert_eq!(receive(&fixture, id), BodyPiece::End);
    sending.join().unwrap();
    respond(id, "all");
}

#[test]
fn a_body_that_was_not_read_is_no_request() {
    for framing in ["Content-Length: 20000", "Transfer-Encoding: chunked"] {
        let fixture = streaming();
        let (mut client, id) = begun(&fixture, &post("/hold", framing), b"7d0\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        respond(id, "enough");
        let response = client.response();
        assert_eq!((response.text(), response.header("connection")), ("enough", Some("Close")));
        client.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.ending(), Ending::Closed);
        assert_eq!(receive(&fixture, id), BodyPiece::Lost);
        assert_eq!(fixture.app.log().requests, ["/hold"]);
        assert_eq!(fixture.app.log().closed, [], "it was answered");
    }
}

#[test]
fn the_client_that_asks_is_told_to_go_on_when_the_body_is_wanted() {
    let fixture = streaming();
    let head = post("/hold", "Content-Length: 2000\r\nExpect: 100-continue");
    let (mut client, id) = begun(&fixture, &head, b"");
    assert_eq!(with_exchange(id, |exchange| exchange.receive()), Some(BodyPiece::Later));
    assert_eq!(client.response().status, 100);
    client.send(body(2000));
    assert_eq!(receive_all(&fixture, id), body(2000));
    respond(id, "all");
    assert_eq!(client.response().text(), "all");
    let mut refused = fixture.connect();
    refused.send(&head);
    respond(fixture.app.held(2), "no");
    let response = refused.response();
    assert_eq!((response.status, response.header("connection")), (200, Some("Close")), "no 100 before it");
    assert_eq!(refused.ending(), Ending::Closed);
}

#[test]
fn an_upgrade_holds_no_more_of_a_body_than_others() {
    let fixture = streaming();
    let head = post("/hold", "Content-Length: 700000\r\nUpgrade: websocket\r\nConnection: Upgrade");
    let (mut client, id) = begun(&fixture, &head, &body(10_000));
    assert_eq!(receive_all_of(&fixture, id, 10_000), body(10_000));
    let upgraded = with_exchange(id, |exchange| exchange.upgrade([], UpgradeOptions::default()));
    assert_eq!(upgraded, Some(Ok(Sent::NotOpen)), "what is left of the body is no frame");
    client.wait_for_end();
    let (mut client, id) =
        begun(&fixture, &post("/ws", "Content-Length: 2000\r\nUpgrade: websocket\r\nConnection: Upgrade"), b"");
    client.wait_for_end();
    assert_eq!(receive(&fixture, id), BodyPiece::Lost);
}

#[test]
fn a_client_that_waits_for_a_100_that_cannot_come_has_a_deadline() {
    let fixture = Fixture::with(|config| {
        config.limits.stream_above = ABOVE as u64;
        config.timeouts = timeouts(0, 300, 0, 0);
    });
    let (mut client, id) = begun(&fixture, &post("/hold", "Content-Length: 2000\r\nExpect: 100-continue"), b"");
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(receive(&fixture, id), BodyPiece::Lost);
    assert_eq!(client.head().status, 200);
    client.wait_for_end();
}

#[test]
fn a_client_that_leaves_takes_its_body_along() {
    for ending in ["close", "reset", "half-close"] {
        let fixture = streaming();
        let (mut client, id) = begun(&fixture, &with_length("/hold", 2000), &body(1500));
        let BodyPiece::Bytes(mut received) = receive(&fixture, id) else { panic!("no bytes") };
        let waits = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                loop {
                    match receive(&fixture, id) {
                        BodyPiece::Bytes(bytes) => received.extend(bytes),
                        other => return other,
                    }
                }
            });
            match ending {
                "reset" => socket2::SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap(),
                "half-close" => client.finish(),
                _ => {}
            }
            if ending == "half-close" {
                client.wait_for_end();
            } else {
                drop(client);
            }
            waiting.join().unwrap()
        });
        assert_eq!(waits, BodyPiece::Lost, "{ending}");
        let log = fixture.app.wait("the end", |log| !log.closed.is_empty());
        assert_eq!(log.closed, [(id, CloseCause::Client)], "{ending}");
    }
}

#[test]
fn a_body_that_breaks_the_rules_is_refused_once() {
    let cases = [
        (400, "5\r\nhelloX", CloseCause::Client),
        (413, "5\r\nhello\r\n2000\r\n", CloseCause::Client),
        (408, "5\r\nhel", CloseCause::Timeout),
    ];
    for (status, rest, cause) in cases {
        for is_answered in [false, true] {
            let fixture = Fixture::with(|config| {
                config.limits.stream_above = ABOVE as u64;
                config.limits.max_body = 3000;
                config.timeouts = timeouts(0, 300, 0, 0);
            });
            let (mut client, id) = begun(&fixture, &post("/hold", "Transfer-Encoding: chunked"), b"2\r\nab\r\n");
            assert_eq!(receive(&fixture, id), BodyPiece::Bytes(b"ab".to_vec()));
            if is_answered {
                with_exchange(id, |exchange| exchange.start(head(200))).unwrap().unwrap();
            }
            client.send(rest);
            while let BodyPiece::Bytes(_) = receive(&fixture, id) {}
            assert_eq!(receive(&fixture, id), BodyPiece::Lost);
            let log = fixture.app.wait("the end", |log| !log.closed.is_empty());
            assert_eq!(log.closed, [(id, cause)]);
            if is_answered {
                assert_eq!(client.head().status, 200);
                client.wait_for_end();
            } else {
                assert_eq!(client.response().status, status);
                assert_eq!(client.ending(), Ending::Closed);
                assert_eq!(log.rejected, [status]);
            }
            // Too late.
            assert!(
                with_exchange(id, |exchange| exchange.respond(head(200), b"late").unwrap() == httpkit_engine::Sent::NotOpen)
                    .unwrap_or(true)
            );
        }
    }
}

#[test]
fn a_server_that_stops_reads_the_body_to_its_end() {
    let fixture = streaming();
    let sent = body(700_000);
    let (mut client, id) = begun(&fixture, &with_length("/hold", sent.len()), &sent[..100]);
    fixture.server.drain();
    client.send(&sent[100..]);
    assert!(receive_all(&fixture, id) == sent);
    respond(id, "all");
    let response = client.response();
    assert_eq!((response.text(), response.header("connection")), ("all", Some("Close")));
    fixture.app.wait("the end", |log| log.drained == 1);
}

#[test]
fn bytes_that_lie_unread_are_counted_and_given_back() {
    let fixture = Fixture::with(|config| {
        config.limits.stream_above = ABOVE as u64;
        config.max_received_total = 1;
    });
    let (client, id) = begun(&fixture, &with_length("/hold", 700_000), &body(200_000));
    eventually("the first of it", || fixture.server.stats()[Counter::BytesIn as usize] > 200_000);
    let mut other = fixture.connect();
    other.send([with_length("/echo", 900).as_bytes(), &body(800)].concat());
    other.send(&body(900)[800..]);
    assert_eq!(other.response().body, body(900), "within a window each has room");
    drop(client);
    fixture.app.wait("the end", |log| log.closed == [(id, CloseCause::Client)]);
}
