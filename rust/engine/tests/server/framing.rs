//! Bodies on the wire: which answers have one, how long it is, and when a client is told to send its own.

use std::io::ErrorKind;
use std::io::Read;

use crate::support::Fixture;
use crate::support::client::Ending;

#[test]
fn answers_without_a_body_leave_the_next_one_intact() {
    let fixture = Fixture::new();
    for mode in ["/status", "/start-status"] {
        for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
            let mut client = fixture.connect();
            let path = format!("{mode}/{status}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n"));
            let response = client.response();
            assert_eq!(response.status, status, "{path}");
            assert_eq!(response.header("content-length"), length, "{path}");
            assert_eq!(response.header("transfer-encoding"), None, "{path}");
            assert!(response.body.is_empty());
            assert_eq!(client.response().text(), "/next", "{path}");
        }
    }
}

#[test]
fn head_is_answered_without_a_body() {
    let fixture = Fixture::new();
    let cases =
        [("/abc", Some("4")), ("/file/3000", Some("3000")), ("/source/70000", Some("70000")), ("/big/5000", Some("5000"))];
    let mut client = fixture.connect();
    for (path, length) in cases.into_iter().chain([("/stream/3", None), ("/later/1", Some("8"))]) {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = client.head_response();
        assert_eq!((response.status, response.header("content-length")), (200, length), "{path}");
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(client.get("/next").text(), "/next", "{path}");
    }
}

#[test]
fn a_stream_is_chunked_or_ends_with_the_connection() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let response = client.get("/stream/2");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "piece 0;piece 1;end");
    assert_eq!(client.get("/next").text(), "/next");
    // HTTP/1.0 knows no chunks.
    client.send("GET /stream/2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!((response.header("transfer-encoding"), response.header("connection")), (None, Some("Close")));
    assert_eq!(response.text(), "piece 0;piece 1;end");
}

#[test]
fn bodies_arrive_however_they_are_framed_and_cut() {
    let fixture = Fixture::new();
    let body: String = (0..20_000).map(|number| format!("{number},")).collect();
    let sized = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunks: String =
        body.as_bytes().chunks(999).map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part))).collect();
    let chunked = format!("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Sum: 1\r\n\r\n");
    for input in [sized, chunked] {
        for size in [1 << 20, 1000, 61] {
            let mut client = fixture.connect();
            for piece in input.as_bytes().chunks(size) {
                client.send(piece);
            }
            assert_eq!(client.response().text(), body);
            assert_eq!(client.get("/next").text(), "/next");
        }
    }
}

#[test]
fn continue_is_sent_once_and_after_the_whole_head() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let request = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let (last, all_but_last) = request.as_bytes().split_last().unwrap();
    for byte in all_but_last {
        client.send([*byte]);
    }
    // Another connection is served meanwhile, so there was time for a premature answer.
    assert_eq!(fixture.get("/elsewhere").status, 200);
    client.stream.set_nonblocking(true).unwrap();
    assert_eq!(client.stream.read(&mut [0; 1]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    client.stream.set_nonblocking(false).unwrap();
    client.send([*last]);
    let interim = client.response();
    assert_eq!(interim.status, 100);
    assert_eq!((interim.header("content-length"), interim.header("connection")), (None, None));
    for byte in b"hello" {
        client.send([*byte]);
    }
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "hello"));
    // A body that is already there needs no invitation.
    client.send(format!("{request}again"));
    let response = client.response();
    assert_eq!((response.status, response.text()), (200, "again"));
}

#[test]
fn continue_keeps_its_place_behind_pipelined_answers() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let expecting = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.send(format!("GET /file/200000 HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n{expecting}"));
    assert_eq!(client.response().body.len(), 200_000);
    assert_eq!(client.response().text(), "/a");
    assert_eq!(client.response().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn an_answer_that_is_refused_can_be_replaced() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    for path in ["/status/99", "/status/1000", "/start-status/0"] {
        let response = client.get(path);
        assert_eq!((response.status, response.text()), (500, "invalid"), "{path}");
    }
    assert_eq!(client.get("/next").text(), "/next");
}

#[test]
fn a_body_shorter_than_declared_never_looks_complete() {
    let fixture = Fixture::new();
    for path in ["/short-source/200000", "/short-file/200000", "/short-file/2000"] {
        let mut client = fixture.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut rest = Vec::new();
        assert_eq!(client.rest(&mut rest), Ending::Reset, "{path}");
        assert!(rest.len() < 200_000, "{path}");
    }
}
