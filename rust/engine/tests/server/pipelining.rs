//! Requests sent without waiting for answers: one at a time is run, and answers keep their order whoever gives them and when.

use httpkit_engine::{CloseCause, Sent, with_exchange};

use crate::support::Fixture;
use crate::support::application::{head, pattern};
use crate::support::client::{Client, Ending};

fn requests(paths: &[&str]) -> String {
    paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).collect()
}

fn expect_pattern(body: &[u8], length: usize) {
    assert_eq!(body.len(), length);
    let wrong = (0..).zip(body).find(|(place, byte)| **byte != pattern(*place));
    assert_eq!(wrong, None, "the first wrong byte");
}

#[test]
fn answers_of_every_kind_keep_their_order() {
    let fixture = Fixture::new();
    let paths = [
        "/a",
        "/later/1",
        "/file/300000",
        "/b",
        "/stream/3",
        "/later/2",
        "/source/400000",
        "/big/500000",
        "/file/0",
        "/c",
        "/file/5",
        "/file/65536",
        "/file/65537",
        "/later/3",
    ];
    for size in [usize::MAX, 7] {
        let mut client = fixture.connect();
        for piece in requests(&paths).as_bytes().chunks(size.min(10_000)) {
            client.send(piece);
        }
        for path in paths {
            let response = client.response();
            assert_eq!(response.status, 200, "{path}");
            match path.rsplit_once('/').unwrap() {
                ("/file", length) => expect_pattern(&response.body, length.parse().unwrap()),
                ("/source", length) => {
                    let mut body = response.body;
                    body.reverse();
                    assert!((1..).zip(&body).all(|(place, byte)| *byte == pattern(place)));
                    assert_eq!(body.len().to_string(), length);
                }
                ("/big", length) => assert_eq!(response.body.len().to_string(), length),
                ("/stream", _) => assert_eq!(response.text(), "piece 0;piece 1;piece 2;end"),
                _ => assert_eq!(response.text(), path),
            }
        }
        assert_eq!(client.get("/last").text(), "/last");
    }
}

#[test]
fn sixteen_requests_in_one_write() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let paths: Vec<String> = (0..16).map(|number| format!("/number/{number}")).collect();
    for _ in 0..20 {
        client.send(requests(&paths.iter().map(String::as_str).collect::<Vec<_>>()));
        for path in &paths {
            assert_eq!(client.response().text(), path);
        }
    }
}

#[test]
fn a_thousand_asynchronous_answers_in_order() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let paths: Vec<String> = (0..1000).map(|number| format!("/later/{number}")).collect();
    client.send(requests(&paths.iter().map(String::as_str).collect::<Vec<_>>()));
    for path in &paths {
        assert_eq!(client.response().text(), path);
    }
}

#[test]
fn the_next_request_waits_for_the_answer_of_the_one_before() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send(requests(&["/hold", "/behind"]));
    let id = fixture.app.held(1);
    // Another connection is served meanwhile, so there was time to run what must wait.
    assert_eq!(fixture.get("/elsewhere").text(), "/elsewhere");
    client.send(requests(&["/last"]));
    assert_eq!(fixture.get("/elsewhere").text(), "/elsewhere");
    assert_eq!(fixture.app.log().requests, ["/hold", "/elsewhere", "/elsewhere"]);
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"held")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.response().text(), "held");
    assert_eq!(client.response().text(), "/behind");
    assert_eq!(client.response().text(), "/last");
}

#[test]
fn a_client_that_has_closed_its_side_still_gets_its_answers() {
    let fixture = Fixture::new();
    for paths in [vec!["/a"], vec!["/later/1"], vec!["/big/3000000"], vec!["/file/3000000", "/a"], vec!["/a", "/later/1", "/b"]] {
        let mut client = fixture.connect();
        client.send(requests(&paths));
        client.finish();
        for path in &paths {
            assert_eq!(client.response().status, 200, "{path}");
        }
        assert_eq!(client.ending(), Ending::Closed, "{paths:?}");
    }
    // The answer comes long after the FIN was seen.
    let mut client = fixture.connect();
    client.send(requests(&["/hold"]));
    client.finish();
    let id = fixture.app.held(1);
    assert_eq!(fixture.get("/elsewhere").status, 200);
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"held")), Some(Ok(Sent::Accepted)));
    assert_eq!(client.response().text(), "held");
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().closed, []);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_request_gets_none() {
    let fixture = Fixture::new();
    for part in ["GET /a HT", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", "", "\r\n"] {
        let mut client = fixture.connect();
        client.send(part);
        client.finish();
        assert_eq!(client.ending(), Ending::Closed, "{part:?}");
    }
    assert_eq!(fixture.app.log().requests.len(), 0);
}

#[test]
fn the_end_of_the_client_is_the_end_of_its_watched_stream() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send(requests(&["/hold"]));
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(with_exchange(id, |exchange| exchange.watch()), Some(true));
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"one", false)), Some(Sent::Accepted));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"one");
    client.finish();
    let log = fixture.app.wait("the end", |log| !log.closed.is_empty());
    assert_eq!(log.closed, [(id, CloseCause::Client)]);
    // The connection is forgotten once the application has been told of its end.
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"two", true)).unwrap_or(Sent::NotOpen), Sent::NotOpen);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Reset, "a cut stream must not look complete");
}

#[test]
fn a_stream_that_is_watched_after_the_client_has_closed_ends() {
    let fixture = Fixture::new();
    let mut client = Client::connect(fixture.server.port().unwrap());
    client.send(requests(&["/hold"]));
    client.finish();
    let id = fixture.app.held(1);
    // Whether the engine has read the FIN by now or not.
    let _ = with_exchange(id, |exchange| exchange.start(head(200)));
    let _ = with_exchange(id, |exchange| exchange.watch());
    assert_eq!(fixture.app.wait("the end", |log| !log.closed.is_empty()).closed, [(id, CloseCause::Client)]);
}

#[test]
fn a_stream_that_is_not_watched_goes_on_for_a_client_that_has_closed_its_side() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send(requests(&["/hold"]));
    client.finish();
    let id = fixture.app.held(1);
    assert_eq!(fixture.get("/elsewhere").status, 200);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(client.head().status, 200);
    for piece in [b"one".as_slice(), b"two"] {
        assert_eq!(with_exchange(id, |exchange| exchange.send(piece, false)), Some(Sent::Accepted));
        assert_eq!(client.chunk(), piece);
    }
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"end", true)), Some(Sent::Accepted));
    assert_eq!(client.chunk(), b"end");
    assert_eq!(client.chunk(), b"");
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().closed, []);
}

#[test]
fn a_stream_that_falls_silent_ends_if_the_client_has_closed_its_side() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send(requests(&["/hold"]));
    client.finish();
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(fixture.app.wait("the end", |log| !log.closed.is_empty()).closed, [(id, CloseCause::Client)]);
    assert_eq!(client.head().status, 200);
    let mut rest = Vec::new();
    assert_eq!(client.rest(&mut rest), Ending::Reset, "a cut stream must not look complete");
}
