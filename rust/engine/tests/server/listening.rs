//! Where a server listens: TCP, both families, Unix sockets, and a cap on connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use httpkit_engine::{Exchange, Listen, Sent, Server, with_exchange};

use crate::support::application::{App, head};
use crate::support::client::{Client, Ending, frame, upgrade_request};
use crate::support::{Fixture, PATIENCE, config};

#[test]
fn a_port_in_use_is_named() {
    let fixture = Fixture::new();
    let mut second = config();
    let port = fixture.server.port().unwrap();
    second.listen = Listen::Tcp { address: (Ipv4Addr::LOCALHOST, port).into(), dual_stack: false };
    for _ in 0..20 {
        let error = Server::start(second.clone(), Arc::new(App::default())).expect_err("in use");
        assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
        assert_eq!(error.address, format!("127.0.0.1:{port}"));
    }
    assert_eq!(fixture.get("/a").status, 200);
}

#[test]
fn the_port_is_free_again_at_once() {
    let fixture = Fixture::new();
    let port = fixture.server.port().unwrap();
    let mut client = fixture.connect();
    assert_eq!(client.get("/a").status, 200);
    fixture.server.close();
    let again = Fixture::with(|config| {
        config.listen = Listen::Tcp { address: (Ipv4Addr::LOCALHOST, port).into(), dual_stack: false };
    });
    assert_eq!(again.server.port(), Some(port));
    assert_eq!(again.get("/b").status, 200);
}

#[test]
fn one_listener_serves_both_families() {
    if TcpStream::connect((Ipv6Addr::LOCALHOST, 1)).is_err_and(|error| error.kind() != ErrorKind::ConnectionRefused) {
        eprintln!("this machine has no IPv6");
        return;
    }
    let fixture = Fixture::with(|config| {
        config.listen = Listen::Tcp { address: (Ipv4Addr::UNSPECIFIED, 0).into(), dual_stack: true };
    });
    let port = fixture.server.port().unwrap();
    assert_eq!(fixture.get("/remote").text(), "127.0.0.1");
    let mut client = Client::over(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap());
    assert_eq!(client.get("/remote").text(), "0:0:0:0:0:0:0:1");
    let single = Fixture::with(|config| {
        config.listen = Listen::Tcp { address: (Ipv4Addr::UNSPECIFIED, 0).into(), dual_stack: false };
    });
    assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, single.server.port().unwrap())).is_err());
    assert_eq!(single.get("/remote").text(), "127.0.0.1");
    // As Java's. What the system takes by default is net.ipv6.bindv6only.
    let ipv6 = Fixture::with(|config| {
        config.listen = Listen::Tcp { address: (Ipv6Addr::UNSPECIFIED, 0).into(), dual_stack: false };
    });
    let port = ipv6.server.port().unwrap();
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        let mut client = Client::over(TcpStream::connect((address, port)).unwrap());
        assert_eq!(client.get("/a").status, 200);
    }
}

#[test]
fn a_unix_socket_is_removed_with_its_server() {
    let path: PathBuf = std::env::temp_dir().join(format!("httpkit-engine-{}.socket", std::process::id()));
    for _ in 0..3 {
        let fixture = Fixture::with(|config| config.listen = Listen::Unix(path.clone()));
        assert_eq!(fixture.server.port(), None);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let paths = ["/remote", "/file/100000", "/later/1", "/stream/2"];
        let requests: String = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.write_all(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut output = Vec::new();
        stream.read_to_end(&mut output).unwrap();
        let text = String::from_utf8_lossy(&output);
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 5);
        assert!(
            text.contains("\r\n\r\nnone")
                && text.contains("/later/1")
                && text.contains("end\r\n0\r\n\r\n")
                && text.ends_with("/close")
        );
        // A second server must not take over the file, nor remove it.
        let mut second = config();
        second.listen = Listen::Unix(path.clone());
        let error = Server::start(second, Arc::new(App::default())).expect_err("in use");
        assert_eq!((error.source.kind(), error.address), (ErrorKind::AddrInUse, path.display().to_string()));
        assert!(path.exists());
        fixture.server.drain();
        assert!(!path.exists());
        fixture.app.wait("the end of the connection", |log| log.drained == 1);
    }
}

fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("httpkit-engine-{}-{name}.socket", std::process::id()))
}

fn status_line(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut output = String::new();
    stream.read_to_string(&mut output).unwrap();
    output.lines().next().unwrap().to_owned()
}

#[test]
fn a_server_does_not_remove_the_socket_of_its_successor() {
    let path = socket_path("successor");
    let old = Fixture::with(|config| config.listen = Listen::Unix(path.clone()));
    std::fs::remove_file(&path).unwrap();
    let new = Fixture::with(|config| config.listen = Listen::Unix(path.clone()));
    old.server.close();
    assert_eq!(status_line(&path), "HTTP/1.1 200 OK");
    new.server.close();
    assert!(!path.exists());
}

#[test]
fn a_socket_whose_server_was_killed_is_in_nobodys_way() {
    let path = socket_path("stale");
    // The file stays behind.
    drop(UnixListener::bind(&path).unwrap());
    let fixture = Fixture::with(|config| config.listen = Listen::Unix(path.clone()));
    assert_eq!(status_line(&path), "HTTP/1.1 200 OK");
    fixture.server.close();
    assert!(!path.exists());
}

#[test]
fn a_directory_that_somebody_keeps_locked_holds_up_no_start() {
    let directory = std::env::temp_dir().join(format!("httpkit-engine-{}-locked", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let lock = std::fs::File::open(&directory).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).unwrap();
    let (path, (started, has_started)) = (directory.join("socket"), std::sync::mpsc::channel());
    std::thread::spawn({
        let path = path.clone();
        move || started.send(Fixture::with(|config| config.listen = Listen::Unix(path)))
    });
    // A second, and what a busy machine adds (docs/RELIABILITY.md, L21).
    let fixture = has_started.recv_timeout(Duration::from_secs(3)).unwrap();
    assert_eq!(status_line(&path), "HTTP/1.1 200 OK");
    drop(fixture);
    std::fs::remove_dir(&directory).unwrap();
}

#[test]
fn what_a_client_sent_before_it_closed_a_unix_socket_is_delivered() {
    let path = socket_path("held");
    let fixture = Fixture::with(|config| config.listen = Listen::Unix(path.clone()));
    let upgraded = |path: &str| {
        let mut stream = UnixStream::connect(socket_path("held")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(upgrade_request(path).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream
    };
    let mut client = upgraded("/ws");
    client.write_all(&[frame(0x81, b"hold"), frame(0x81, b"later")].concat()).unwrap();
    let id = fixture.app.held(1);
    fixture.app.wait("the hold", |log| log.messages.len() == 1);
    drop(client);
    // By then the server has looked for the client, which it does every second.
    let mut idle = upgraded("/ws/2000");
    idle.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(with_exchange(id, |exchange| exchange.resume()), Some(()));
    let log = fixture.app.wait("the rest", |log| log.messages.len() == 2);
    assert_eq!(log.messages[1].1, b"later");
}

#[test]
fn of_servers_that_start_at_once_on_a_path_one_has_it() {
    let path = socket_path("race");
    for round in 0..300 {
        let barrier = Barrier::new(3);
        let start = || {
            let mut config = config();
            config.listen = Listen::Unix(path.clone());
            barrier.wait();
            Server::start(config, Arc::new(App::default())).map_err(|error| error.source.kind())
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (started, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((started.len(), refused.len()), (1, 2), "round {round}: {refused:?}");
        started.into_iter().flatten().for_each(|server| server.close());
    }
}

#[test]
fn what_is_not_a_dead_socket_is_left_alone() {
    let start = |path: &Path| {
        let mut config = config();
        config.listen = Listen::Unix(path.to_owned());
        Server::start(config, Arc::new(App::default())).map_err(|error| error.source.kind()).map(drop)
    };
    let path = socket_path("not-dead");
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(start(&path), Err(ErrorKind::AddrInUse));
    assert!(UnixStream::connect(&path).is_ok());
    let link = socket_path("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    drop(listener);
    assert_eq!(start(&link), Err(ErrorKind::AddrInUse));
    std::fs::remove_file(&link).unwrap();
    std::fs::remove_file(&path).unwrap();
    let datagrams = UnixDatagram::bind(&path).unwrap();
    assert_eq!(start(&path), Err(ErrorKind::AddrInUse));
    assert!(path.exists());
    drop(datagrams);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(start(&path), Err(ErrorKind::AddrInUse));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn r19_no_more_connections_than_allowed() {
    let fixture = Fixture::with(|config| config.max_connections = 100);
    let mut clients: Vec<Client> = (0..200).map(|_| fixture.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
    fixture.app.wait("the first hundred", |log| log.held.len() == 100);
    clients.iter().for_each(Client::finish);
    // Each that ends lets the next in.
    for answered in 0..200 {
        assert!(fixture.app.held_count() <= 100 + answered);
        let id = fixture.app.held(answered + 1);
        let answer = |exchange: &Exchange<'_>| exchange.respond(head(200), b"held").unwrap();
        assert_eq!(with_exchange(id, answer), Some(Sent::Accepted));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "held");
        assert_eq!(client.ending(), Ending::Closed);
    }
    let mut idle: Vec<Client> = (0..100).map(|_| fixture.connect()).collect();
    idle.iter_mut().for_each(|client| assert_eq!(client.get("/a").status, 200));
    let mut waiting = fixture.connect();
    waiting.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture.server.drain();
    // Accepted or still in the queue: draining ends it either way, and nothing hangs.
    let mut rest = Vec::new();
    waiting.rest(&mut rest);
    fixture.app.wait("the end of the last connection", |log| log.drained == 1);
    assert!(!fixture.app.log().requests.contains(&"/b".to_owned()));
}
