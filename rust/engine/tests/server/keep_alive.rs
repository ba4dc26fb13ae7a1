//! Which connections stay open, and what their answers say about it (RFC 9112 section 9.3).

use crate::support::Fixture;
use crate::support::client::Ending;

#[test]
fn the_matrix_of_versions_and_connection_fields() {
    let fixture = Fixture::new();
    // Version, field lines, `Connection` of the answer, stays open.
    let cases = [
        ("1.1", "", None, true),
        ("1.1", "Connection: keep-alive\r\n", None, true),
        ("1.1", "Connection: close\r\n", Some("Close"), false),
        ("1.1", "Connection: CLOSE\r\n", Some("Close"), false),
        ("1.1", "Connection: keep-alive, close\r\n", Some("Close"), false),
        ("1.1", "Connection: keep-alive\r\nConnection: foo, close\r\n", Some("Close"), false),
        ("1.1", "Connection: closed\r\n", None, true),
        ("1.0", "", None, false),
        ("1.0", "Connection: close\r\n", None, false),
        ("1.0", "Connection: Keep-Alive\r\n", Some("Keep-Alive"), true),
        ("1.0", "Connection: foo, keep-alive\r\n", Some("Keep-Alive"), true),
        ("1.0", "Connection: keep-alive, close\r\n", None, false),
        ("1.1", "Upgrade: websocket\r\nConnection: upgrade\r\n", Some("Close"), false),
    ];
    for (version, fields, connection, stays) in cases {
        // Answered on the spot, and by another thread while the connection's task waits for the client.
        for path in ["/a", "/later/1"] {
            let mut client = fixture.connect();
            client.send(format!("GET {path} HTTP/{version}\r\nHost: x\r\n{fields}\r\n"));
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, path));
            assert_eq!(response.header("connection"), connection, "{version} {fields:?}");
            if stays {
                assert_eq!(client.get("/b").text(), "/b", "{version} {fields:?}");
            } else {
                assert_eq!(client.ending(), Ending::Closed, "{version} {fields:?}");
            }
        }
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    for number in 0..300 {
        let path = format!("/number/{number}");
        assert_eq!(client.get(&path).text(), path);
    }
    assert_eq!(fixture.app.log().requests.len(), 300);
}

#[test]
fn close_of_the_application_ends_the_connection_and_what_is_pipelined_behind() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /close HTTP/1.1\r\nHost: x\r\n\r\nGET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("close"));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().requests, ["/close"]);
}

#[test]
fn what_follows_a_refused_upgrade_is_never_a_request() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let upgrade = "GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n";
    client.send(format!("{upgrade}GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(client.response().header("connection"), Some("Close"));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(fixture.app.log().requests, ["/up"]);
}
