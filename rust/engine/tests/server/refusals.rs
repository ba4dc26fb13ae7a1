//! Requests the engine answers itself: exactly one answer, then the end, and the client can read it.

use crate::support::Fixture;
use crate::support::client::Ending;

#[test]
fn one_answer_then_the_end_whatever_follows() {
    let fixture = Fixture::new();
    let long = "a".repeat(9000);
    let cases = [
        (400, "GET /x HTTP/1.1\r\n\r\n".to_owned()),
        (400, "GET /x HTTP/1.1\nHost: x\r\n\r\n".to_owned()),
        (400, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (400, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n".to_owned()),
        (413, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9437184\r\n\r\n".to_owned()),
        (414, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        (417, "POST /x HTTP/1.1\r\nHost: x\r\nExpect: more\r\nContent-Length: 5\r\n\r\nhello".to_owned()),
        (431, format!("GET /x HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n")),
        (501, "FROB /x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ];
    let behind = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
    for (status, request) in &cases {
        for first in ["", "GET /first HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let mut client = fixture.connect();
            client.send(format!("{first}{request}{behind}"));
            if !first.is_empty() {
                assert_eq!(client.response().text(), "/first");
            }
            let response = client.response();
            assert_eq!(response.status, *status, "{request:?}");
            assert_eq!(response.header("connection"), Some("Close"));
            assert!(!response.body.is_empty(), "the reason");
            client.finish();
            assert_eq!(client.ending(), Ending::Closed, "{request:?}");
        }
    }
    // The application is told a moment after the client.
    let log = fixture.app.wait("the last refusal", |log| log.rejected.len() == 2 * cases.len());
    assert!(log.requests.iter().all(|uri| uri == "/first"), "{:?}", log.requests);
    let (mut told, mut expected) = (log.rejected, cases.iter().flat_map(|(status, _)| [*status, *status]).collect::<Vec<_>>());
    // Connections have no order among each other.
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_client_that_is_still_sending_can_read_the_refusal() {
    let fixture = Fixture::new();
    let heads = ["Content-Length: 104857600\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n6400000\r\n"];
    for head in heads {
        let mut client = fixture.connect();
        client.send(format!("POST /x HTTP/1.1\r\nHost: x\r\n{head}"));
        for _ in 0..256 {
            client.send([b'a'; 64 * 1024]);
        }
        assert_eq!(client.response().status, 413, "{head:?}");
        client.finish();
        assert_eq!(client.ending(), Ending::Closed, "{head:?}");
    }
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let fixture = Fixture::new();
    for request in ["HEAD / HTTP/1.1\r\n\r\n", "\r\nHEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz"] {
        let mut client = fixture.connect();
        client.send(request);
        let response = client.head_response();
        assert_eq!(response.status, 400);
        assert_ne!(response.header("content-length"), Some("0"));
        client.finish();
        assert_eq!(client.ending(), Ending::Closed);
    }
}

#[test]
fn a_refused_client_that_never_closes_is_closed() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().status, 400);
    // Our side is open: only the server can end this.
    assert_eq!(client.ending(), Ending::Closed);
    fixture.server.drain();
    fixture.app.wait("the end of the connection", |log| log.drained == 1);
}
