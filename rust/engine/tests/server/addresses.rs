//! Who the client is: the peer, or what a PROXY line or a trusted proxy says, never what anybody may claim (docs/RELIABILITY.md,
//! H21).

use httpkit_engine::ProxyProtocol;

use crate::support::Fixture;
use crate::support::client::Ending;

fn remote(fixture: &Fixture, first: &str, fields: &str) -> String {
    let mut client = fixture.connect();
    client.send(format!("{first}GET /remote HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    client.response().text().to_owned()
}

#[test]
fn h21_forwarded_for_is_ignored_unless_configured() {
    let fixture = Fixture::new();
    assert_eq!(remote(&fixture, "", ""), "127.0.0.1");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6\r\n"), "127.0.0.1");
}

#[test]
fn h21_legacy_takes_the_first_element_as_it_is() {
    let fixture = Fixture::with(|config| config.legacy_remote_address = true);
    assert_eq!(remote(&fixture, "", ""), "127.0.0.1");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\n"), "6.6.6.6");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n"), "6.6.6.6");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: unknown ,7.7.7.7\r\n"), "unknown ");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For:\r\n"), "");
}

#[test]
fn h21_trusted_proxies_are_believed_as_far_as_they_go() {
    let trusting = |networks: &[&str]| {
        Fixture::with(|config| config.trusted_proxies = networks.iter().map(|net| net.parse().unwrap()).collect())
    };
    let fixture = trusting(&["127.0.0.0/8", "10.0.0.0/8"]);
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.1\r\n"), "1.2.3.4");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n"), "1.2.3.4");
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6, nonsense\r\n"), "127.0.0.1");
    assert_eq!(remote(&fixture, "", ""), "127.0.0.1");
    // The peer is not one of them: whatever it says is a claim.
    let fixture = trusting(&["10.0.0.0/8"]);
    assert_eq!(remote(&fixture, "", "X-Forwarded-For: 6.6.6.6\r\n"), "127.0.0.1");
}

#[test]
fn h21_a_trailer_is_no_address() {
    for legacy in [false, true] {
        let fixture = Fixture::with(|config| config.legacy_remote_address = legacy);
        let mut client = fixture.connect();
        let head = "POST /remote HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}5\r\nhello\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"));
        assert_eq!(client.response().text(), "127.0.0.1");
        client.send("GET /headers HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().text(), "host=x\n");
    }
}

const LINE: &str = "PROXY TCP4 9.8.7.6 127.0.0.1 5555 443\r\n";

#[test]
fn h21_a_proxy_line_beats_everything() {
    let fixture = Fixture::with(|config| {
        config.proxy_protocol = ProxyProtocol::Enable;
        config.legacy_remote_address = true;
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    });
    assert_eq!(remote(&fixture, LINE, ""), "9.8.7.6");
    assert_eq!(remote(&fixture, LINE, "X-Forwarded-For: 6.6.6.6\r\n"), "9.8.7.6");
    // For every request of the connection, and in the fields the application sees.
    let mut client = fixture.connect();
    for byte in LINE.bytes() {
        client.send([byte]);
    }
    let claims = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1\r\n";
    for _ in 0..3 {
        client.send(format!("GET /headers HTTP/1.1\r\nHost: x\r\n{claims}\r\n"));
        let expected = "host=x\nx-forwarded-for=9.8.7.6\nx-forwarded-port=443\nx-forwarded-proto=https\n";
        assert_eq!(client.response().text(), expected);
    }
    assert_eq!(client.get("/remote").text(), "9.8.7.6");
}

#[test]
fn a_proxy_line_is_required_allowed_or_unknown() {
    let with = |proxy_protocol| Fixture::with(|config| config.proxy_protocol = proxy_protocol);
    let refused = |fixture: &Fixture, first: &str| {
        let mut client = fixture.connect();
        client.send(format!("{first}GET /remote HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (400, Some("Close")), "{first:?}");
        client.finish();
        assert_eq!(client.ending(), Ending::Closed);
    };
    let malformed =
        ["PROXY UNKNOWN\r\n", "PROXY TCP4 9.8.7.6 127.0.0.1 5555 99999\r\n", "PROXY TCP4 9.8.7.6 127.0.0.1 5555 80\n"];
    let required = with(ProxyProtocol::Enable);
    refused(&required, "");
    malformed.iter().for_each(|line| refused(&required, line));
    refused(&required, &format!("{LINE}{LINE}"));
    let allowed = with(ProxyProtocol::Optional);
    assert_eq!(remote(&allowed, "", ""), "127.0.0.1");
    assert_eq!(remote(&allowed, LINE, ""), "9.8.7.6");
    malformed.iter().for_each(|line| refused(&allowed, line));
    let disabled = with(ProxyProtocol::Disable);
    refused(&disabled, LINE);
    for fixture in [required, allowed, disabled] {
        assert!(fixture.app.log().requests.iter().all(|uri| uri == "/remote"));
    }
}
