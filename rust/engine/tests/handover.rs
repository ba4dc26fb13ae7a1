//! A call that keeps its thread: another task takes its connection over, and nothing of the client's input is lost, run twice or out of
//! order. Spare threads belong to the process, so these tests have one of their own and run one after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use httpkit_engine::{CloseCause, Counter, Dispatch, Sent, ServerConfig, with_exchange};
use support::application::head;
use support::client::{Client, Ending};
use support::{Fixture, PATIENCE, eventually, timeouts};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn fixture() -> (Fixture, MutexGuard<'static, ()>) {
    fixture_of(Dispatch::InPlace, Duration::from_millis(1))
}

fn fixture_of(dispatch: Dispatch, budget: Duration) -> (Fixture, MutexGuard<'static, ()>) {
    fixture_with(dispatch, budget, |_| {})
}

fn fixture_with(
    dispatch: Dispatch,
    budget: Duration,
    adjust: impl FnOnce(&mut ServerConfig),
) -> (Fixture, MutexGuard<'static, ()>) {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let fixture = Fixture::with(|config| {
        config.dispatch = dispatch;
        config.in_place_budget = budget;
        adjust(config);
    });
    (fixture, turn)
}

/// Waits until so many calls have been taken over.
fn rescued(fixture: &Fixture, count: u64) {
    eventually(&format!("call number {count} to be taken over"), || fixture.server.stats()[Counter::Rescued as usize] >= count);
}

fn requests(paths: &[&str]) -> String {
    paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).collect()
}

#[test]
fn what_is_pipelined_behind_a_slow_call_keeps_its_order() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/before", "/block/1", "/b", "/c"]));
    fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(client.response().text(), "/before", "an answer from before the slow call does not wait for it");
    client.send(requests(&["/d", "/block/2"]));
    assert_eq!(fixture.get("/elsewhere").status, 200);
    fixture.app.release(1);
    for path in ["/block/1", "/b", "/c", "/d"] {
        assert_eq!(client.response().text(), path);
    }
    fixture.app.held(2);
    rescued(&fixture, 2);
    client.send(requests(&["/e"]));
    fixture.app.release(2);
    assert_eq!(client.response().text(), "/block/2");
    assert_eq!(client.response().text(), "/e");
}

#[test]
fn a_call_that_goes_on_after_its_answer_holds_nobody_up() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/block/1"]));
    let id = fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"early").unwrap()), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "early");
    assert_eq!(client.get("/next").text(), "/next");
    fixture.app.release(1);
    assert_eq!(client.get("/last").text(), "/last");
}

#[test]
fn the_return_of_an_old_call_does_not_disturb_a_newer_one() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/block/1"]));
    let first = fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(with_exchange(first, |exchange| exchange.respond(head(200), b"first").unwrap()), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "first");
    // The second call has "/c" with it. While it runs the first returns.
    client.send(requests(&["/block/2", "/c"]));
    let second = fixture.app.held(2);
    fixture.app.release(1);
    rescued(&fixture, 2);
    for _ in 0..20 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    // Read now, this would overtake "/c".
    client.send(requests(&["/d"]));
    for _ in 0..20 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    assert_eq!(with_exchange(second, |exchange| exchange.respond(head(200), b"second").unwrap()), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "second");
    for _ in 0..20 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    fixture.app.release(2);
    assert_eq!(client.response().text(), "/c");
    assert_eq!(client.response().text(), "/d");
    assert_eq!(client.get("/last").text(), "/last");
}

#[test]
fn calls_that_are_taken_over_all_the_time_answer_in_order() {
    let (fixture, _turn) = fixture();
    let paths: Vec<String> =
        (0..200).map(|number| ["/a", "/spin", "/later", "/spin"][number % 4].to_owned() + &format!("/{}", number * 20)).collect();
    std::thread::scope(|scope| {
        for size in [30, 70, 1000, 100_000] {
            let (fixture, paths) = (&fixture, &paths);
            scope.spawn(move || {
                let mut client = fixture.connect();
                let input = requests(&paths.iter().map(String::as_str).collect::<Vec<_>>());
                input.as_bytes().chunks(size).for_each(|piece| client.send(piece));
                paths.iter().for_each(|path| assert_eq!(client.response().text(), path));
            });
        }
    });
    assert!(fixture.server.stats()[Counter::Rescued as usize] > 10, "or nothing was shown");
}

#[test]
fn what_is_behind_a_slow_call_is_answered_though_the_client_has_closed_its_side() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/block/1"]));
    fixture.app.held(1);
    rescued(&fixture, 1);
    client.send(requests(&["/file-block/2", "/c", "/d"]));
    client.finish();
    // Others are served meanwhile: by then the task that took over has read all of it and the FIN.
    for _ in 0..20 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    fixture.app.release(1);
    assert_eq!(client.response().text(), "/block/1");
    // The second call has the rest with it, and keeps its thread after its answer: the task that took over sees no input and the FIN.
    fixture.app.held(2);
    rescued(&fixture, 2);
    assert_eq!(client.response().body.len(), 1 << 20);
    assert_eq!(fixture.get("/elsewhere").status, 200);
    fixture.app.release(2);
    assert_eq!(client.response().text(), "/c");
    assert_eq!(client.response().text(), "/d");
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn a_panic_in_a_call_that_was_taken_over_gives_the_connection_back() {
    let (fixture, _turn) = fixture();
    for (number, behind) in [(1, vec![]), (2, vec!["/behind"])] {
        let mut client = fixture.connect();
        let path = format!("/block-panic/{number}");
        client.send(requests(&[vec![path.as_str()], behind].concat()));
        let id = fixture.app.held(usize::try_from(number).unwrap());
        rescued(&fixture, number);
        fixture.app.release(number);
        assert_eq!(client.ending(), Ending::Closed);
        let log = fixture.app.wait("the notice", |log| log.closed.len() as u64 == number);
        assert_eq!(log.closed.last(), Some(&(id, CloseCause::Server)));
    }
    fixture.server.drain();
    fixture.app.wait("every connection given back", |log| log.drained == 1);
}

#[test]
fn requests_lost_with_a_call_that_panics_end_their_connection() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/block-panic/1", "/lost"]));
    let id = fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(with_exchange(id, |exchange| exchange.respond(head(200), b"early").unwrap()), Some(Sent::Accepted));
    assert_eq!(client.response().text(), "early");
    fixture.app.release(1);
    assert_eq!(client.ending(), Ending::Closed);
    fixture.server.drain();
    let log = fixture.app.wait("every connection given back", |log| log.drained == 1);
    assert_eq!((log.requests.len(), log.closed.len()), (1, 0));
}

#[test]
fn a_client_that_leaves_during_a_slow_call_is_noticed() {
    // Whatever has come behind the request, if only the empty line that some clients send.
    for behind in ["", "\r\n", "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let (fixture, _turn) = fixture();
        let mut client = fixture.connect();
        client.send(requests(&["/block/1"]) + behind);
        let id = fixture.app.held(1);
        rescued(&fixture, 1);
        assert_eq!(with_exchange(id, |exchange| exchange.start(head(200)).unwrap()), Some(Sent::Accepted));
        assert_eq!(with_exchange(id, |exchange| exchange.watch()), Some(true));
        assert_eq!(client.head().status, 200);
        drop(client);
        let log = fixture.app.wait("the notice", |log| !log.closed.is_empty());
        assert_eq!(log.closed, [(id, CloseCause::Client)], "{behind:?}");
        fixture.app.release(1);
        fixture.server.drain();
        fixture.app.wait("every connection given back", |log| log.drained == 1);
    }
}

#[test]
fn what_is_pipelined_behind_a_call_that_goes_on_outlasts_the_time_between_requests() {
    let (fixture, _turn) = fixture_with(Dispatch::InPlace, Duration::from_millis(1), |config| {
        config.timeouts = timeouts(0, 0, 0, 50);
    });
    let mut client = fixture.connect();
    client.send(requests(&["/file-block/1", "/next"]));
    fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(client.response().body.len(), 1 << 20);
    // A connection that waits for its next request no longer than this one has is closed by now.
    let mut idle = fixture.connect();
    assert_eq!(idle.get("/idle").status, 200);
    assert_eq!(idle.ending(), Ending::Closed);
    fixture.app.release(1);
    assert_eq!(client.response().text(), "/next");
}

#[test]
fn what_is_pipelined_behind_a_call_that_goes_on_is_answered_although_the_server_stops() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/file-block/1", "/next"]));
    fixture.app.held(1);
    rescued(&fixture, 1);
    assert_eq!(client.response().body.len(), 1 << 20);
    fixture.server.drain();
    fixture.app.release(1);
    assert_eq!(client.response().text(), "/next");
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn a_file_goes_out_after_its_call() {
    let (fixture, _turn) = fixture_of(Dispatch::InPlace, PATIENCE);
    let mut client = fixture.connect();
    client.send(requests(&["/file-block/1"]));
    fixture.app.held(1);
    assert_eq!(fixture.server.stats()[Counter::BytesOut as usize], 0, "its time would count as the call's");
    fixture.app.release(1);
    assert_eq!(client.response().body.len(), 1 << 20);
}

#[test]
fn a_file_goes_out_although_its_call_goes_on() {
    let (fixture, _turn) = fixture();
    let mut client = fixture.connect();
    client.send(requests(&["/file-block/1"]));
    fixture.app.held(1);
    assert_eq!(client.response().body.len(), 1 << 20);
    fixture.app.release(1);
    assert_eq!(client.get("/next").text(), "/next");
}

/// Has so many requests for that path keep their threads; each time, after `held`, others are served. Then lets
/// them go on and checks their answers.
fn hold(fixture: &Fixture, path: &str, count: usize, held: impl Fn(u64)) {
    let mut slow: Vec<_> = (1..=count).map(|number| (number, fixture.connect())).collect();
    for (number, client) in &mut slow {
        client.send(requests(&[&format!("{path}/{number}")]));
        fixture.app.held(*number);
        held(*number as u64);
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
    for (number, client) in &mut slow {
        fixture.app.release(*number as u64);
        assert_eq!(client.response().text(), format!("{path}/{number}"));
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn a_call_that_computes_for_long_holds_nobody_up() {
    let (fixture, _turn) = fixture();
    hold(&fixture, "/compute", 2, |number| rescued(&fixture, number));
}

#[test]
fn a_pool_that_keeps_the_callers_thread_holds_nobody_up() {
    let (fixture, _turn) = fixture_of(Dispatch::Pool, Duration::from_millis(1));
    hold(&fixture, "/block", cores(), |_| {});
}

#[test]
fn news_of_an_end_that_keep_their_thread_hold_nobody_up() {
    let (fixture, _turn) = fixture();
    // One on each reactor.
    let mut clients: Vec<_> = (0..cores()).map(|_| fixture.open_websocket("/ws")).collect();
    let mut others: Vec<_> = (0..2 * cores()).map(|_| fixture.connect()).collect();
    clients.iter_mut().for_each(|client| client.send_frame(0x88, b"\x03\xe8block"));
    fixture.app.wait("the ends", |log| log.ends.len() == cores());
    others.iter_mut().for_each(|client| assert_eq!(client.get("/a").status, 200));
    fixture.app.release(1);
    clients.iter_mut().for_each(|client| assert_eq!(client.frame().0, 0x88));
}

#[test]
fn more_slow_calls_than_threads_hold_up_nobody_else() {
    let (fixture, _turn) = fixture();
    hold(&fixture, "/block", cores() + 3, |_| {});
    for _ in 0..200 {
        assert_eq!(fixture.get("/elsewhere").status, 200);
    }
}

/// Connections of which the second is kept by `/block/N`, and the last, which has the same reactor, has sent a request that is not read;
/// and N. The first has another reactor. `None` on a machine with one.
fn unread_request(fixture: &Fixture) -> Option<(Vec<Client>, u64)> {
    let reactors = std::thread::available_parallelism().expect("a number").get();
    if reactors == 1 {
        return None;
    }
    (1..20).find_map(|number| {
        // One after the other, each goes to the next reactor: unless connections of the test before are still ending.
        let mut clients: Vec<Client> = (0..reactors + 2).map(|_| fixture.connect()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/a").text(), "/a"));
        clients[1].send(requests(&[&format!("/block/{number}")]));
        fixture.app.held(usize::try_from(number).unwrap());
        clients[0].send(requests(&["/b"]));
        clients[0].stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        if clients[0].stream.peek(&mut [0]).is_err() {
            fixture.app.release(number);
            return None;
        }
        clients[0].stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(clients[0].response().text(), "/b");
        clients[reactors + 1].send(requests(&["/late"]));
        Some((clients, number))
    })
}

#[test]
fn a_request_that_is_there_is_answered_though_the_connection_has_been_idle_for_too_long() {
    let long = Duration::from_secs(60);
    let (fixture, _turn) = fixture_with(Dispatch::InPlace, long, |config| config.timeouts = timeouts(0, 0, 0, 3000));
    let Some((mut clients, number)) = unread_request(&fixture) else { return };
    assert_eq!(clients[0].ending(), Ending::Closed, "the sweeper has been there, and later than the deadline of the last one");
    fixture.app.release(number);
    assert_eq!(clients.last_mut().unwrap().response().text(), "/late");
}

#[test]
fn nor_does_a_drain_end_a_connection_on_which_a_request_has_come() {
    let (fixture, _turn) = fixture_of(Dispatch::InPlace, Duration::from_secs(60));
    let Some((mut clients, number)) = unread_request(&fixture) else { return };
    fixture.server.drain();
    assert_eq!(clients[0].ending(), Ending::Closed);
    fixture.app.release(number);
    assert_eq!(clients.last_mut().unwrap().response().text(), "/late");
    assert_eq!(clients.last_mut().unwrap().ending(), Ending::Closed);
    drop(clients);
    fixture.app.wait("the last connection", |log| log.drained == 1);
}

#[test]
fn nor_one_that_has_not_been_accepted_yet() {
    // Linux holds one connection more than the backlog says.
    let (fixture, _turn) = fixture_with(Dispatch::InPlace, Duration::from_secs(60), |config| config.backlog = 1);
    // The first connection is the first reactor's, which accepts: unless those of the test before are still ending.
    let mut first = fixture.connect();
    first.send(requests(&["/block/1"]));
    fixture.app.held(1);
    let (mut silent, mut late) = (fixture.connect(), fixture.connect());
    late.send(requests(&["/late"]));
    fixture.server.drain();
    assert_eq!(silent.ending(), Ending::Closed);
    fixture.app.release(1);
    assert_eq!(late.response().text(), "/late");
    assert_eq!(late.ending(), Ending::Closed);
    assert_eq!(first.response().text(), "/block/1");
    drop((late, first));
    fixture.app.wait("the last connection", |log| log.drained == 1);
}

#[test]
fn nor_one_of_a_crowd_whose_acceptance_has_given_way_to_others() {
    let (fixture, _turn) = fixture_of(Dispatch::InPlace, Duration::from_secs(60));
    // As above. What is accepted behind it is more than one turn of the listener.
    let mut first = fixture.connect();
    first.send(requests(&["/block/1"]));
    fixture.app.held(1);
    let mut crowd: Vec<_> = (0..40).map(|_| fixture.connect()).collect();
    crowd.iter_mut().for_each(|client| client.send(requests(&["/block/2"])));
    fixture.app.release(1);
    assert_eq!(first.response().text(), "/block/1");
    fixture.app.held(2);
    fixture.server.drain();
    fixture.app.release(2);
    for client in &mut crowd {
        assert_eq!(client.response().text(), "/block/2");
        assert_eq!(client.ending(), Ending::Closed);
    }
    drop((first, crowd));
    fixture.app.wait("the last connection", |log| log.drained == 1);
}
