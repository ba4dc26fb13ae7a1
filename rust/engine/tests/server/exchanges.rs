//! One request, one answer: stale handles, faults of the application, and threads that race.

use std::sync::{Arc, Barrier};

use httpkit_engine::{CloseCause, Exchange, ExchangeId, Sent, with_exchange};

use crate::support::application::head;
use crate::support::client::Ending;
use crate::support::{Fixture, eventually};

fn respond(id: ExchangeId) -> Option<Sent> {
    with_exchange(id, |exchange| exchange.respond(head(200), b"answer").expect("a valid head"))
}

/// Everything but a response: all of it is refused for an exchange that is over.
fn everything_else(exchange: &Exchange<'_>) -> Vec<Sent> {
    let file = std::fs::File::open("/dev/null").expect("a file");
    vec![
        exchange.start(head(200)).expect("a valid head"),
        exchange.send(b"piece", false),
        exchange.send(b"", true),
        exchange.respond_file(head(200), file, 0).expect("a valid head"),
    ]
}

#[test]
fn an_exchange_is_answered_once() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let first = fixture.app.held(1);
    assert_eq!(with_exchange(first, |exchange| exchange.send(b"early", false)), Some(Sent::NotOpen), "not begun");
    assert_eq!(respond(first), Some(Sent::Accepted));
    assert_eq!(respond(first), Some(Sent::NotOpen));
    assert_eq!(client.response().text(), "answer");
    // The next request of the same connection is another exchange.
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let second = fixture.app.held(2);
    assert_eq!(second.connection, first.connection);
    assert_ne!(second.exchange, first.exchange);
    assert_eq!(respond(first), Some(Sent::NotOpen));
    assert_eq!(with_exchange(first, everything_else), Some(vec![Sent::NotOpen; 4]));
    with_exchange(first, |exchange| exchange.abort()).unwrap();
    assert_eq!(respond(second), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "answer");
    assert_eq!(with_exchange(second, everything_else), Some(vec![Sent::NotOpen; 4]));
    assert_eq!(client.get("/next").text(), "/next");
}

#[test]
fn a_handle_never_reaches_a_later_connection() {
    let fixture = Fixture::new();
    let mut stale = Vec::new();
    for round in 0..200 {
        let mut client = fixture.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        let id = fixture.app.held(round + 1);
        assert!(!stale.contains(&id));
        for old in &stale {
            // The client sees the end a moment before the handle is forgotten.
            assert!(matches!(respond(*old), None | Some(Sent::NotOpen)));
        }
        client.send("GET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(respond(id), Some(Sent::Accepted));
        assert_eq!(client.response().text(), "answer");
        assert_eq!(client.response().text(), "/behind");
        client.finish();
        assert_eq!(client.ending(), Ending::Closed);
        stale.push(id);
    }
}

#[test]
fn what_is_aborted_never_looks_complete() {
    let fixture = Fixture::new();
    // A reset destroys what the client has not read yet, so it is for answers whose framing does not say that something is missing.
    let cases = [("1.1", false, Ending::Closed), ("1.1", true, Ending::Closed), ("1.0", true, Ending::Reset)];
    for (count, (version, streaming, ending)) in (1..).zip(cases) {
        let mut client = fixture.connect();
        client.send(format!("GET /hold HTTP/{version}\r\nHost: x\r\n\r\n"));
        let id = fixture.app.held(count);
        if streaming {
            assert_eq!(with_exchange(id, |exchange| exchange.start(head(200)).unwrap()), Some(Sent::Accepted));
            assert_eq!(with_exchange(id, |exchange| exchange.send(b"piece", false)), Some(Sent::Accepted));
        }
        with_exchange(id, |exchange| exchange.abort()).unwrap();
        let mut rest = Vec::new();
        assert_eq!(client.rest(&mut rest), ending);
        match (streaming, ending) {
            (true, Ending::Closed) => assert!(rest.ends_with(b"\r\n\r\n5\r\npiece\r\n")),
            (true, Ending::Reset) => {}
            (false, _) => assert_eq!(rest, b""),
        }
        drop(client);
        eventually("the end of the connection", || with_exchange(id, |exchange| exchange.abort()).is_none());
        let log = fixture.app.wait("the end", |log| log.closed.len() == count);
        assert_eq!(log.closed.last(), Some(&(id, CloseCause::Server)));
    }
}

#[test]
fn a_panic_of_the_application_costs_one_connection() {
    let fixture = Fixture::new();
    for _ in 0..20 {
        let mut client = fixture.connect();
        client.send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET /behind HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.ending(), Ending::Closed);
    }
    assert_eq!(fixture.get("/a").status, 200);
    let log = fixture.app.wait("the ends", |log| log.closed.len() == 20);
    assert!(log.closed.iter().all(|(_, cause)| *cause == CloseCause::Server));
    assert!(!log.requests.contains(&"/behind".to_owned()));
    fixture.server.drain();
    fixture.app.wait("every connection given back", |log| log.drained == 1);
}

#[test]
fn of_eight_threads_that_answer_one_wins() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    for round in 0..300 {
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        let id = fixture.app.held(round + 1);
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let barrier = Arc::clone(&barrier);
                std::thread::spawn(move || {
                    let text = format!("answer {number}");
                    barrier.wait();
                    with_exchange(id, |exchange| match number % 4 {
                        // A stream wins by its head; its pieces are its own.
                        0 => match exchange.start(head(200)).unwrap() {
                            Sent::NotOpen => Sent::NotOpen,
                            _ => exchange.send(text.as_bytes(), true),
                        },
                        _ => exchange.respond(head(200), text.as_bytes()).unwrap(),
                    })
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let winners: Vec<usize> = (0..8).filter(|number| results[*number] == Some(Sent::Accepted)).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        assert_eq!(client.response().text(), format!("answer {}", winners[0]));
    }
    assert_eq!(client.get("/next").text(), "/next");
}

#[test]
fn an_answer_that_fails_is_either_accepted_or_told() {
    let fixture = Fixture::new();
    for round in 0..50 {
        let mut client = fixture.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        client.finish();
        let id = fixture.app.held(round + 1);
        // Others are served meanwhile: by now the server has most likely seen the FIN, and reads no more.
        assert_eq!(fixture.get("/elsewhere").status, 200);
        socket2::SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let told = fixture.app.log().closed.len();
        let answered = with_exchange(id, |exchange| exchange.respond(head(200), &[b'a'; 10_000]).unwrap());
        if answered == Some(Sent::Accepted) {
            assert_eq!(fixture.app.log().closed.len(), told, "accepted and lost at once");
        } else {
            let log = fixture.app.wait("the end", |log| log.closed.iter().any(|(closed, _)| *closed == id));
            assert_eq!(log.closed.iter().filter(|(closed, _)| *closed == id).count(), 1);
        }
    }
}

#[test]
fn an_answer_races_with_the_end_of_the_server() {
    for _ in 0..100 {
        let fixture = Fixture::new();
        let mut client = fixture.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        let id = fixture.app.held(1);
        let answering = std::thread::spawn(move || respond(id));
        fixture.server.close();
        let answered = answering.join().unwrap() == Some(Sent::Accepted);
        let log = fixture.app.wait("the end", |log| log.drained == 1 && log.closed.len() == usize::from(!answered));
        assert_eq!(log.closed.len(), usize::from(!answered), "either an answer or a notice");
        let mut rest = Vec::new();
        client.rest(&mut rest);
    }
}
