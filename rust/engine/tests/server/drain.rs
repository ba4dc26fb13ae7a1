//! The end of a server: `drain` lets running exchanges finish, `close` cuts what is left, the application hears of both once.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use httpkit_engine::{Application, CloseCause, Counter, Exchange, ExchangeId, Request, Sent, Server, with_exchange};

use crate::support::application::head;
use crate::support::client::{Client, Ending};
use crate::support::{Fixture, PATIENCE, config, eventually};

#[test]
fn idle_connections_end_at_once() {
    let fixture = Fixture::new();
    let mut fresh = fixture.connect();
    let mut used: Vec<_> = (0..20).map(|_| fixture.connect()).collect();
    used.iter_mut().for_each(|client| assert_eq!(client.get("/a").status, 200));
    fixture.server.drain();
    assert_eq!(fresh.ending(), Ending::Closed);
    used.iter_mut().for_each(|client| assert_eq!(client.ending(), Ending::Closed));
    fixture.app.wait("the end of the last connection", |log| log.drained == 1);
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, fixture.server.port().unwrap()));
    assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
    fixture.server.drain();
    fixture.server.close();
    let log = fixture.app.log();
    assert_eq!((log.drained, log.closed.len()), (1, 0));
}

#[test]
fn an_exchange_in_flight_is_answered_and_nothing_behind_it() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    fixture.server.drain();
    assert_eq!(fixture.app.log().drained, 0);
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"held")), Some(Ok(Sent::Accepted)));
    let response = client.response();
    assert_eq!((response.text(), response.header("connection")), ("held", Some("Close")));
    assert_eq!(client.ending(), Ending::Closed);
    let log = fixture.app.wait("the end of the last connection", |log| log.drained == 1);
    assert_eq!(log.requests, ["/hold"]);
    assert_eq!(log.closed, []);
}

#[test]
fn a_head_that_does_not_go_on_holds_nobody_up() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET / HT");
    assert_eq!(client.response().text(), "/first");
    fixture.server.drain();
    assert_eq!(client.response().status, 408);
    assert_eq!(client.ending(), Ending::Closed);
    fixture.app.wait("the last connection", |log| log.drained == 1);
}

#[test]
fn what_was_sent_before_the_end_arrives() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(with_exchange(id, |exchange| exchange.send(&[b'x'; 100_000], false)), Some(Sent::Accepted));
    fixture.server.close();
    assert_eq!(fixture.app.wait("the end", |log| !log.closed.is_empty()).closed, [(id, CloseCause::Server)]);
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().len(), 100_000);
    assert_eq!(client.ending(), Ending::Closed, "without the last chunk");
}

#[test]
fn an_answer_that_ends_with_the_connection_is_never_cut_short_of_a_reset() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.0\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"part", false)), Some(Sent::Accepted));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.take(4), b"part");
    fixture.server.close();
    assert_eq!(client.ending(), Ending::Reset);
}

#[test]
fn a_request_that_has_begun_is_answered() {
    let fixture = Fixture::new();
    let parts = [
        ("GET /a HT", "TP/1.1\r\nHost: x\r\n\r\n"),
        ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe", "llo"),
        ("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", "llo\r\n0\r\n\r\n"),
    ];
    let mut clients: Vec<_> = parts.iter().map(|_| fixture.connect()).collect();
    for (client, (first, _)) in clients.iter_mut().zip(parts) {
        client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
        client.send(first);
        assert_eq!(client.response().text(), "/first");
    }
    // A half request has no sign of its own, but its bytes are counted.
    let sent = clients.len() * "GET /first HTTP/1.1\r\nHost: x\r\n\r\n".len();
    let sent = sent + parts.iter().map(|(first, _)| first.len()).sum::<usize>();
    eventually("all bytes", || fixture.server.stats()[Counter::BytesIn as usize] == sent as u64);
    fixture.server.drain();
    for (client, (_, second)) in clients.iter_mut().zip(parts) {
        client.send(second);
        let response = client.response();
        assert_eq!((response.text(), response.header("connection")), ("/a", Some("Close")));
        assert_eq!(client.ending(), Ending::Closed);
    }
    fixture.app.wait("the end of the last connection", |log| log.drained == 1);
}

#[test]
fn an_answer_on_its_way_arrives_and_ends_the_connection() {
    for path in ["/big/30000000", "/file/30000000", "/source/30000000"] {
        let fixture = Fixture::new();
        let mut client = fixture.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.head().status, 200);
        fixture.server.drain();
        assert_eq!(client.take(30_000_000).len(), 30_000_000);
        assert_eq!(client.ending(), Ending::Closed, "{path}");
        fixture.app.wait("the end of the last connection", |log| log.drained == 1);
    }
}

#[test]
fn a_stream_under_way_goes_on_to_its_end() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = fixture.app.held(1);
    assert_eq!(with_exchange(id, |exchange| exchange.start(head(200))), Some(Ok(Sent::Accepted)));
    fixture.server.drain();
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"one", false)), Some(Sent::Accepted));
    assert_eq!(with_exchange(id, |exchange| exchange.send(b"two", true)), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "onetwo");
    assert_eq!(client.ending(), Ending::Closed);
    fixture.app.wait("the end of the last connection", |log| log.drained == 1);
}

#[test]
fn close_cuts_what_is_left_and_says_so_once() {
    let fixture = Fixture::new();
    let mut clients: Vec<_> = (0..10).map(|_| fixture.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
    let held = fixture.app.wait("ten held requests", |log| log.held.len() == 10).held;
    fixture.server.close();
    fixture.server.close();
    clients.iter_mut().for_each(|client| assert_eq!(client.ending(), Ending::Closed));
    // Whoever hears that the server has drained has heard of the last exchange before.
    let log = fixture.app.wait("the end of the last connection", |log| log.drained == 1);
    assert_eq!((log.closed.len(), log.closed_before_drained), (10, 10));
    assert!(log.closed.iter().all(|(id, cause)| held.contains(id) && *cause == CloseCause::Server));
    for id in held {
        assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"late")), None);
    }
}

#[test]
fn servers_end_independently() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let mut client = other.connect();
    assert_eq!(client.get("/a").status, 200);
    one.server.close();
    assert_eq!(client.get("/b").status, 200);
    assert_eq!(other.app.log().drained, 0);
}

/// Stops its server from inside every call, the way an event logger written by a user may.
#[derive(Default)]
struct StopsItself {
    server: OnceLock<Server>,
    calls: AtomicUsize,
}

impl StopsItself {
    fn stop(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(server) = self.server.get() {
            server.close();
        }
    }
}

impl Application for StopsItself {
    fn request(&self, exchange: &Exchange<'_>, _: &Request<'_>) {
        let _ = exchange.respond(head(200), b"bye");
        self.stop();
    }
    fn writable(&self, _: ExchangeId) -> bool {
        true
    }
    fn closed(&self, _: ExchangeId, _: CloseCause) -> bool {
        self.stop();
        true
    }
    fn rejected(&self, _: u16) {
        self.stop();
    }
    fn accept_failed(&self, _: &std::io::Error) {}
    fn drained(&self) -> bool {
        self.stop();
        true
    }
}

#[test]
fn an_application_may_stop_its_server_from_any_call() {
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"] {
        let app = Arc::new(StopsItself::default());
        let server = Server::start(config(), Arc::clone(&app) as _).unwrap();
        assert!(app.server.set(server.clone()).is_ok());
        let mut client = Client::connect(server.port().unwrap());
        client.send(request);
        let mut rest = Vec::new();
        client.rest(&mut rest);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            server.close();
            sender.send(()).unwrap();
        });
        receiver.recv_timeout(PATIENCE).expect("no call waits for itself");
        assert!(app.calls.load(Ordering::SeqCst) >= 1);
    }
}
