//! What clients can make the server hold or burn (docs/RELIABILITY.md, R3 to R18, L19). Each test runs in a process of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{Application, CloseCause, Exchange, ExchangeId, Request, Sent, Server, with_exchange};
use support::application::{App, head, spawn_flood};
use support::child::{Serving, alone, descriptors, is_child, processor_time, requested, resident};
use support::client::{Client, Ending};
use support::{Fixture, config};

const MIB: u64 = 1024 * 1024;

/// Answers everything with 1000 bytes and remembers nothing, so that what grows is the engine.
#[derive(Default)]
struct Lean {
    requests: AtomicUsize,
}

impl Application for Lean {
    fn request(&self, exchange: &Exchange<'_>, _: &Request<'_>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let _ = exchange.respond(head(200), &[b'a'; 1000]);
    }
    fn writable(&self, _: ExchangeId) -> bool {
        true
    }
    fn closed(&self, _: ExchangeId, _: CloseCause) -> bool {
        true
    }
    fn rejected(&self, _: u16) {}
    fn accept_failed(&self, _: &std::io::Error) {
        println!("\nfailed {}", processor_time().as_micros());
    }
    fn drained(&self) -> bool {
        true
    }
}

fn lean() -> (Arc<Lean>, Server) {
    let app = Arc::new(Lean::default());
    let server = Server::start(config(), Arc::clone(&app) as _).expect("started");
    (app, server)
}

#[track_caller]
fn grew_at_most(before: u64, after: u64, allowed: u64) {
    let grown = after.saturating_sub(before);
    assert!(grown <= allowed, "grew by {} KiB, {} KiB are allowed", grown / 1024, allowed / 1024);
}

#[test]
fn r3_clients_that_do_not_read_cost_a_mebibyte_each() {
    alone("r3_clients_that_do_not_read_cost_a_mebibyte_each", || {
        let fixture = Fixture::new();
        assert_eq!(fixture.get("/source/1000000").body.len(), 1_000_000);
        let before = resident();
        let mut streams: Vec<Client> = (0..20).map(|_| fixture.connect()).collect();
        streams.iter_mut().for_each(|client| client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
        let floods: Vec<_> = (1..=20).map(|number| spawn_flood(&fixture.app, fixture.app.held(number), 10_000)).collect();
        let full = |count: usize| move |sent: &[Sent]| sent.iter().filter(|sent| **sent == Sent::Full).count() == count;
        fixture.app.wait("full outboxes", |log| full(20)(&log.flood));
        let mut answers: Vec<Client> = (0..20).map(|_| fixture.connect()).collect();
        for (number, client) in answers.iter_mut().enumerate() {
            let path = if number % 2 == 0 { "/source/64000000" } else { "/file/64000" };
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.head().status, 200);
        }
        grew_at_most(before, resident(), 40 * MIB);
        fixture.server.close();
        floods.into_iter().for_each(|flood| flood.join().unwrap());
    });
}

#[test]
fn r7_what_slow_clients_have_read_is_given_back() {
    alone("r7_what_slow_clients_have_read_is_given_back", || {
        let fixture = Fixture::with(|config| config.max_pending = 64 << 20);
        let pending = || fixture.server.gauges()[1];
        let (message, before) = (vec![7; MIB as usize], resident());
        let mut clients = Vec::new();
        for number in 1..=6 {
            let mut client = fixture.open_websocket("/ws");
            let id = fixture.app.held(number);
            let waiting = pending();
            for _ in 0..30 {
                with_exchange(id, |exchange| exchange.send_message(Opcode::Binary, &message)).unwrap().unwrap();
            }
            while pending() > waiting + 4 * MIB {
                client.take(64 * 1024);
            }
            clients.push(client);
        }
        // 4 MiB wait for each, and a buffer may be twice as long as what is in it.
        grew_at_most(before, resident(), 6 * 2 * 4 * MIB + 32 * MIB);
        fixture.server.close();
    });
}

#[test]
fn r4_a_declared_length_reserves_nothing() {
    alone("r4_a_declared_length_reserves_nothing", || {
        let (_, server) = lean();
        let port = server.port().unwrap();
        let mut probe = Client::connect(port);
        assert_eq!(probe.get("/").body.len(), 1000);
        let (before, requested_before) = (resident(), requested());
        let mut clients: Vec<Client> = (0..500).map(|_| Client::connect(port)).collect();
        for client in &mut clients {
            // The interim answer tells that the server has begun to collect the body.
            client.send("PUT / HTTP/1.1\r\nHost:x\r\nExpect:100-continue\r\nContent-Length:8388607\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 100);
            client.send("body");
        }
        let mut times: Vec<Duration> = (0..100)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(probe.get("/").status, 200);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        // The median: one pause of a busy machine is not the server's.
        assert!(times[50] <= Duration::from_millis(100), "{:?}", times[50]);
        grew_at_most(before, resident(), 32 * MIB);
        // Pages not yet touched are not resident: the promise is about what was asked for.
        grew_at_most(requested_before, requested(), 64 * MIB);
        server.close();
    });
}

#[test]
fn r9_pipelined_requests_without_reading_are_not_all_run() {
    alone("r9_pipelined_requests_without_reading_are_not_all_run", || {
        let (app, server) = lean();
        let mut client = Client::connect(server.port().unwrap());
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(200));
        let batch = request.repeat(100);
        client.send(&request);
        client.response();
        let before = resident();
        client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut batches, mut left) = (0, batch.as_bytes());
        while batches < 1000 {
            match client.stream.write(left) {
                Ok(written) => left = &left[written..],
                // Nothing was taken for half a second: the server has stopped reading.
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            if left.is_empty() {
                (batches, left) = (batches + 1, batch.as_bytes());
            }
        }
        assert!(batches < 1000, "all of 100000 requests were taken from a client that reads nothing");
        grew_at_most(before, resident(), 8 * MIB);
        let run = app.requests.load(Ordering::Relaxed);
        // Reading again sets it going: nothing was lost, nothing is out of order.
        client.stream.set_write_timeout(None).unwrap();
        let mut writer = client.stream.try_clone().unwrap();
        let rest = left.to_vec();
        let writing = std::thread::spawn(move || writer.write_all(&rest).unwrap());
        for _ in 0..batches * 100 + 100 - usize::from(left.is_empty()) * 100 {
            assert_eq!(client.response().body.len(), 1000);
        }
        writing.join().unwrap();
        assert!(run < app.requests.load(Ordering::Relaxed));
        server.close();
    });
}

#[test]
fn r12_no_descriptors_left() {
    const NAME: &str = "r12_no_descriptors_left";
    if is_child(NAME) {
        let (_, server) = lean();
        println!("\nport {}", server.port().unwrap());
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let mut serving = Serving::start(NAME, "ulimit -n 64");
    let port = u16::try_from(serving.numbers("port")[0]).unwrap();
    let mut existing = Client::connect(port);
    assert_eq!(existing.get("/").status, 200);
    let crowd: Vec<Client> = (0..200).map(|_| Client::connect(port)).collect();
    let first = serving.numbers("failed")[0];
    let start = Instant::now();
    let mut last = first;
    for _ in 0..3 {
        last = serving.numbers("failed")[0];
        assert_eq!(existing.get("/").status, 200, "who is connected is served throughout");
    }
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(2900), "more than one report a second: {elapsed:?}");
    let used = Duration::from_micros(last - first);
    assert!(used <= elapsed / 20, "{used:?} of processor time in {elapsed:?}");
    drop(crowd);
    let start = Instant::now();
    assert_eq!(Client::connect(port).get("/").status, 200);
    assert!(start.elapsed() <= Duration::from_secs(1), "served again after {:?}", start.elapsed());
}

#[test]
fn r18_no_memory_is_no_end() {
    const NAME: &str = "r18_no_memory_is_no_end";
    if is_child(NAME) {
        let mut config = config();
        config.limits.max_body = 1 << 40;
        config.max_message = u32::MAX;
        let app = Arc::new(App::default());
        let server = Server::start(config, app).expect("started");
        println!("\nport {}", server.port().unwrap());
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    // Room for the stacks of each core's threads. One arena for all: what is left then depends on nothing but the body.
    let mebibytes = 250 + 50 * std::thread::available_parallelism().unwrap().get();
    let mut serving = Serving::start(NAME, &format!("ulimit -v {}; export MALLOC_ARENA_MAX=1", mebibytes * 1024));
    let port = u16::try_from(serving.numbers("port")[0]).unwrap();
    let piece = vec![b'b'; MIB as usize];
    // More than there is, unless the server has ended the connection before: what it refuses it discards for a while.
    let flood = |client: &mut Client| {
        let _ = (0..mebibytes).find(|_| client.stream.write_all(&piece).is_err());
    };
    for head in ["Content-Length: 100000000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n174876e800\r\n"] {
        let mut client = Client::connect(port);
        let mut reader = Client::over(client.stream.try_clone().unwrap());
        client.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{head}"));
        let refusal = std::thread::spawn(move || reader.response().status);
        flood(&mut client);
        assert_eq!(refusal.join().unwrap(), 503);
        assert_eq!(Client::connect(port).get("/a").status, 200);
    }
    let mut client = Client::connect(port);
    client.upgrade("/ws");
    let mut reader = Client::over(client.stream.try_clone().unwrap());
    let refusal = std::thread::spawn(move || reader.frame());
    client.send([[0x82, 0xff].as_slice(), &4_000_000_000u64.to_be_bytes(), &[0; 4]].concat());
    flood(&mut client);
    assert_eq!(refusal.join().unwrap(), (0x88, 1013u16.to_be_bytes().to_vec()));
    assert_eq!(Client::connect(port).get("/a").status, 200);
}

#[test]
fn l19_without_room_for_its_threads_no_server_starts() {
    const NAME: &str = "l19_without_room_for_its_threads_no_server_starts";
    if is_child(NAME) {
        httpkit_engine::set_stack_size(1 << 30);
        let failure = Server::start(config(), Arc::new(App::default())).err().map(|error| error.source.to_string());
        let told = failure.is_some_and(|text| text.starts_with("cannot start "));
        println!("\ntold {}", u8::from(told));
        return;
    }
    // For some of their stacks, not for all.
    let mut child = Serving::start(NAME, &format!("ulimit -v {}; export MALLOC_ARENA_MAX=1", 5 << 20));
    assert_eq!(child.numbers("told"), [1]);
}

#[test]
fn r14_a_burst_of_connects_waits_for_no_retry() {
    alone("r14_a_burst_of_connects_waits_for_no_retry", || {
        // As many as come: the kernel's queue holds them however slowly this machine accepts.
        let mut config = config();
        config.backlog = 2048;
        let server = Server::start(config, Arc::new(Lean::default())).expect("started");
        let port = server.port().unwrap();
        let connect = move || {
            let start = Instant::now();
            (Client::connect(port), start.elapsed())
        };
        let threads: Vec<_> =
            (0..8).map(|_| std::thread::spawn(move || (0..250).map(|_| connect()).collect::<Vec<_>>())).collect();
        let mut clients: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let slowest = clients.iter().map(|(_, elapsed)| *elapsed).max().unwrap();
        assert!(slowest < Duration::from_secs(1), "a SYN was sent again: {slowest:?}");
        clients.iter_mut().for_each(|(client, _)| assert_eq!(client.get("/").status, 200));
        server.close();
    });
}

#[test]
fn r15_idle_connections_cost_little_and_are_given_back() {
    alone("r15_idle_connections_cost_little_and_are_given_back", || {
        let (app, server) = lean();
        let port = server.port().unwrap();
        let mut probe = Client::connect(port);
        assert_eq!(probe.get("/").status, 200);
        // Slots are used again: many connections one after the other leave nothing behind.
        let sequence = || (0..2000).for_each(|_| assert_eq!(Client::connect(port).get("/").status, 200));
        sequence();
        let before = resident();
        sequence();
        sequence();
        grew_at_most(before, resident(), MIB);
        let (before, open) = (resident(), descriptors());
        let (count, earlier) = (3000, app.requests.load(Ordering::Relaxed));
        let mut clients: Vec<Client> = (0..count).map(|_| Client::connect(port)).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        assert_eq!(app.requests.load(Ordering::Relaxed), earlier + count);
        // The client's half is counted too: half of what one connection may cost.
        grew_at_most(before, resident(), count as u64 * 16 * 1024 / 2);
        for client in &mut clients {
            client.finish();
            assert_eq!(client.ending(), Ending::Closed);
        }
        drop(clients);
        assert!(descriptors() <= open + 1, "{} descriptors, {open} before", descriptors());
        server.close();
    });
}
