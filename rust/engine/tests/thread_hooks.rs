//! The hooks of the reactors' threads: a process has one set of reactors, so this test has a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use httpkit_engine::{Application, CloseCause, Exchange, ExchangeId, Request, Server, set_thread_hooks};
use support::application::head;
use support::client::Client;
use support::config;

static STARTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

fn start() {
    STARTED.fetch_add(1, Ordering::SeqCst);
    HOOKED.set(true);
}

/// Answers whether the thread it runs on was announced.
struct Hooked;

impl Application for Hooked {
    fn request(&self, exchange: &Exchange<'_>, _: &Request<'_>) {
        let _ = exchange.respond(head(200), HOOKED.get().to_string().as_bytes());
    }
    fn writable(&self, _: ExchangeId) -> bool {
        true
    }
    fn closed(&self, _: ExchangeId, _: CloseCause) -> bool {
        true
    }
    fn rejected(&self, _: u16) {}
    fn accept_failed(&self, _: &std::io::Error) {}
    fn drained(&self) -> bool {
        true
    }
}

#[test]
fn each_thread_that_runs_requests_was_announced_once() {
    set_thread_hooks(start, || {});
    set_thread_hooks(|| panic!("later calls have no effect"), || {});
    let servers: Vec<Server> = (0..3).map(|_| Server::start(config(), Arc::new(Hooked)).expect("started")).collect();
    for server in &servers {
        let clients = (0..20).map(|_| Client::connect(server.port().unwrap()));
        clients.for_each(|mut client| assert_eq!(client.get("/").text(), "true"));
    }
    // A reactor a core: one thread that is active, and its share of eight spares, two at least.
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = cores * (1 + 8_usize.div_ceil(cores).max(2));
    assert!(STARTED.load(Ordering::SeqCst) <= threads, "the same reactors for all servers");
    servers.iter().for_each(Server::close);
}
