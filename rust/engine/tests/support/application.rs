//! An application that does what the path says, and writes down everything the engine tells it.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{
    Application, BodySource, CloseCause, Exchange, ExchangeId, Flow, Message, MessageKind, Request, ResponseHead, Sent,
    SocketEnd, UpgradeOptions, with_exchange,
};

use super::PATIENCE;

/// The size of one piece of a flood.
pub(crate) const PIECE: usize = 64 * 1024;

/// What the engine has told.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    /// `uri` of every request, in order.
    pub(crate) requests: Vec<String>,
    /// Requests to `/hold`: they wait for the test to answer them.
    pub(crate) held: Vec<ExchangeId>,
    pub(crate) writable: Vec<ExchangeId>,
    pub(crate) readable: Vec<ExchangeId>,
    pub(crate) closed: Vec<(ExchangeId, CloseCause)>,
    /// Messages, pings and pongs of WebSockets.
    pub(crate) messages: Vec<(MessageKind, Vec<u8>)>,
    pub(crate) ends: Vec<(ExchangeId, SocketEnd)>,
    /// How many of `ends` were told while there still was a connection.
    pub(crate) ends_before_closes: usize,
    /// Clients that broke the protocol.
    pub(crate) broken: usize,
    pub(crate) rejected: Vec<u16>,
    pub(crate) accept_failures: Vec<Instant>,
    pub(crate) drained: usize,
    /// How many of `closed` were told before `drained`.
    pub(crate) closed_before_drained: usize,
    /// Numbers of the requests to `/block` that may go on.
    pub(crate) released: Vec<u64>,
    /// What `send` returned to the floods.
    pub(crate) flood: Vec<Sent>,
}

#[derive(Debug, Default)]
pub(crate) struct App {
    log: Mutex<Log>,
    changed: Condvar,
    /// So many of the next news it does not take in.
    deaf: AtomicUsize,
}

const UPGRADE: [(&[u8], &[u8]); 2] = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")];

pub(crate) const fn head<'h>(status: u16) -> ResponseHead<[(&'h [u8], &'h [u8]); 0]> {
    ResponseHead { status, headers: [], declared_length: None }
}

impl App {
    /// What has been told so far.
    pub(crate) fn log(&self) -> Log {
        self.lock().clone()
    }

    /// Waits until what was told satisfies a condition.
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Log) -> bool) -> Log {
        let deadline = Instant::now() + PATIENCE;
        let mut log = self.lock();
        while !condition(&log) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {log:?}");
            log = self.changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        log.clone()
    }

    /// How many requests to `/hold` have come.
    pub(crate) fn held_count(&self) -> usize {
        self.lock().held.len()
    }

    /// The id of the request to `/hold` that came as number `count`, from 1.
    pub(crate) fn held(&self, count: usize) -> ExchangeId {
        self.wait("a held request", |log| log.held.len() >= count).held[count - 1]
    }

    /// Lets the request to `/block` of that number go on.
    pub(crate) fn release(&self, number: u64) {
        self.note(|log| log.released.push(number));
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Does not take in so many of the news that follow.
    pub(crate) fn deafen(&self, count: usize) {
        self.deaf.store(count, Ordering::SeqCst);
    }

    /// How many more it will not take in.
    pub(crate) fn deaf(&self) -> usize {
        self.deaf.load(Ordering::SeqCst)
    }

    /// Writes the news down, unless it is deaf to them. Returns whether it has.
    fn hear(&self, change: impl FnOnce(&mut Log)) -> bool {
        let is_deaf = self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok();
        if !is_deaf {
            self.note(change);
        }
        !is_deaf
    }

    /// Sends a stream from the calling thread, as fast as it is taken.
    pub(crate) fn flood(&self, id: ExchangeId, pieces: usize) {
        let piece = vec![b'p'; PIECE];
        let told = |log: &Log| log.writable.iter().filter(|writable| **writable == id).count();
        let over = |log: &Log| log.closed.iter().any(|(closed, _)| *closed == id);
        assert_ne!(with_exchange(id, |exchange| exchange.start(head(200))), None);
        for _ in 0..pieces {
            let already = told(&self.lock());
            let sent = with_exchange(id, |exchange| exchange.send(&piece, false)).unwrap_or(Sent::NotOpen);
            self.note(|log| log.flood.push(sent));
            match sent {
                Sent::Accepted => {}
                Sent::Full => drop(self.wait("room", |log| told(log) > already || over(log))),
                Sent::NotOpen => return,
            }
        }
        let _ = with_exchange(id, |exchange| exchange.send(b"", true));
    }
}

impl Application for App {
    fn request(&self, exchange: &Exchange<'_>, request: &Request<'_>) {
        let uri = String::from_utf8_lossy(request.uri).into_owned();
        self.note(|log| log.requests.push(uri.clone()));
        let (mode, number) = match uri.rsplit_once('/') {
            Some((mode, number)) if number.parse::<u64>().is_ok() => (mode, number.parse().unwrap_or(0)),
            _ => (uri.as_str(), 0),
        };
        let length = usize::try_from(number).unwrap_or(0);
        let answered = match mode {
            "/hold" => {
                self.note(|log| log.held.push(exchange.id()));
                return;
            }
            "/later" => {
                let id = exchange.id();
                // Joined by nobody: it ends with its answer.
                drop(std::thread::spawn(move || with_exchange(id, |exchange| exchange.respond(head(200), uri.as_bytes()))));
                return;
            }
            "/panic" => panic!("a fault of the application"),
            // A WebSocket, with an idle timeout of so many milliseconds.
            "/ws" => {
                let options = UpgradeOptions { idle_millis: number as u32, ..UpgradeOptions::default() };
                self.note(|log| log.held.push(exchange.id()));
                exchange.upgrade(UPGRADE, options)
            }
            "/ws-small" => exchange.upgrade(UPGRADE, UpgradeOptions { max_message: number as u32, ..UpgradeOptions::default() }),
            "/ws-own-pong" => exchange.upgrade(UPGRADE, UpgradeOptions { own_pong: true, ..UpgradeOptions::default() }),
            // Keeps its thread for so many microseconds.
            "/spin" => {
                let until = Instant::now() + Duration::from_micros(number);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                exchange.respond(head(200), uri.as_bytes())
            }
            // Keeps its thread until the test lets it go.
            "/block" | "/block-panic" => {
                self.note(|log| log.held.push(exchange.id()));
                self.wait("a release", |log| log.released.contains(&number));
                assert_ne!(mode, "/block-panic", "a fault of the application");
                exchange.respond(head(200), uri.as_bytes())
            }
            // Keeps its thread likewise, and leaves the answer to the test, as /hold.
            "/hold-block" => {
                self.note(|log| log.held.push(exchange.id()));
                self.wait("a release", |log| log.released.contains(&number));
                return;
            }
            // Gives a file of 1 MiB, and then keeps its thread likewise.
            "/file-block" => {
                let answered = exchange.respond_file(head(200), file_of(1 << 20), 1 << 20);
                self.note(|log| log.held.push(exchange.id()));
                self.wait("a release", |log| log.released.contains(&number));
                answered
            }
            // As /block, but computes all the while.
            "/compute" => {
                self.note(|log| log.held.push(exchange.id()));
                while !self.lock().released.contains(&number) {
                    std::hint::spin_loop();
                }
                exchange.respond(head(200), uri.as_bytes())
            }
            "/stream" => stream(exchange, length),
            "/file" => exchange.respond_file(head(200), file_of(length), number),
            "/source" => exchange.respond_source(head(200), Box::new(Source { left: number, breaks_at: 0 })),
            "/short-source" => exchange.respond_source(head(200), Box::new(Source { left: number, breaks_at: number / 2 })),
            "/short-file" => exchange.respond_file(head(200), file_of(length / 2), number),
            "/big" => exchange.respond(head(200), &vec![b'b'; length]),
            "/status" => exchange.respond(head(u16::try_from(number).unwrap_or(0)), b"body"),
            "/start-status" => {
                let started = exchange.start(head(u16::try_from(number).unwrap_or(0)));
                let _ = exchange.send(b"body", true);
                started
            }
            "/close" => {
                let headers = [(b"connection".as_slice(), b"close".as_slice())];
                exchange.respond(ResponseHead { status: 200, headers, declared_length: None }, uri.as_bytes())
            }
            "/remote" => exchange.respond(head(200), request.remote_address.unwrap_or(b"none")),
            "/headers" => exchange.respond(head(200), listing(request).as_bytes()),
            "/echo" => exchange.respond(head(200), request.body),
            _ => exchange.respond(head(200), uri.as_bytes()),
        };
        if answered.is_err() {
            let _ = exchange.respond(head(500), b"invalid");
        }
    }

    fn writable(&self, exchange: ExchangeId) -> bool {
        self.hear(|log| log.writable.push(exchange))
    }

    fn readable(&self, exchange: ExchangeId) -> bool {
        self.hear(|log| log.readable.push(exchange))
    }

    fn closed(&self, exchange: ExchangeId, cause: CloseCause) -> bool {
        self.hear(|log| log.closed.push((exchange, cause)))
    }

    /// Sends messages back, but for those that say what to do.
    fn message(&self, exchange: &Exchange<'_>, message: &Message<'_>) -> Flow {
        if message.kind == MessageKind::Broken {
            self.note(|log| log.broken += 1);
            let unanswered =
                self.log().messages.iter().any(|(_, payload)| payload == b"answer later" || payload == b"answer never");
            return if unanswered { Flow::Hold } else { Flow::GoOn };
        }
        self.note(|log| log.messages.push((message.kind, message.payload.to_vec())));
        let opcode = match message.kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
            MessageKind::Ping | MessageKind::Pong | MessageKind::Broken => return Flow::GoOn,
        };
        match message.payload {
            b"hold" => return Flow::Hold,
            b"resume early" => {
                exchange.resume();
                return Flow::Hold;
            }
            // Answered by the test.
            b"answer later" | b"answer never" => {
                self.note(|log| log.held.push(exchange.id()));
                return Flow::GoOn;
            }
            b"block" => drop(self.wait("a release", |log| log.released.contains(&1))),
            b"panic" => panic!("a fault of the application"),
            _ => {}
        }
        let _ = exchange.send_message(opcode, message.payload);
        Flow::GoOn
    }

    fn websocket_closed(&self, exchange: ExchangeId, end: &SocketEnd, _messages: u32) -> bool {
        let is_connected = with_exchange(exchange, |_| ()).is_some();
        let heard = self.hear(|log| {
            log.ends.push((exchange, end.clone()));
            log.ends_before_closes += usize::from(is_connected);
        });
        if end.reason == "block" {
            self.wait("a release", |log| log.released.contains(&1));
        }
        heard
    }

    fn rejected(&self, status: u16) {
        self.note(|log| log.rejected.push(status));
    }

    fn accept_failed(&self, _error: &std::io::Error) {
        self.note(|log| log.accept_failures.push(Instant::now()));
    }

    fn drained(&self) -> bool {
        self.hear(|log| {
            log.drained += 1;
            log.closed_before_drained = log.closed.len();
        })
    }
}

fn stream(exchange: &Exchange<'_>, pieces: usize) -> Result<Sent, httpkit_engine::InvalidHead> {
    let started = exchange.start(head(200))?;
    for number in 0..pieces {
        let _ = exchange.send(format!("piece {number};").as_bytes(), false);
    }
    let _ = exchange.send(b"end", true);
    Ok(started)
}

fn listing(request: &Request<'_>) -> String {
    let lines = request.headers.iter().map(|field| {
        let name = match field.name {
            httpkit_engine::FieldName::Common(index) => httpkit_engine::HEADER_NAMES[usize::from(index.0) - 1].to_owned(),
            httpkit_engine::FieldName::Other(text) => String::from_utf8_lossy(text).to_ascii_lowercase(),
        };
        format!("{name}={}\n", String::from_utf8_lossy(&field.value))
    });
    lines.collect()
}

/// The bytes of files and sources: each place has its own value, so that a lost or doubled piece shows.
pub(crate) fn pattern(place: u64) -> u8 {
    (place ^ place >> 8 ^ place >> 16) as u8
}

/// A file without a name.
fn file_of(length: usize) -> File {
    let mut file = tempfile();
    if length > 1 << 20 {
        // Where only the size matters a hole will do.
        file.set_len(length as u64).expect("a size");
        return file;
    }
    let bytes: Vec<u8> = (0..length as u64).map(pattern).collect();
    file.write_all(&bytes).expect("written");
    file
}

fn tempfile() -> File {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("httpkit-engine-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    std::fs::remove_file(&path).expect("removed");
    file
}

struct Source {
    left: u64,
    /// It ends early when so much is left.
    breaks_at: u64,
}

impl BodySource for Source {
    fn remaining(&self) -> u64 {
        self.left
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Counts down, so the pattern does as well.
        let length = buffer.len().min(usize::try_from(self.left - self.breaks_at).unwrap_or(usize::MAX));
        for slot in &mut buffer[..length] {
            *slot = pattern(self.left);
            self.left -= 1;
        }
        length
    }
}

/// Starts a thread that floods one exchange.
pub(crate) fn spawn_flood(app: &Arc<App>, id: ExchangeId, pieces: usize) -> std::thread::JoinHandle<()> {
    let app = Arc::clone(app);
    std::thread::spawn(move || app.flood(id, pieces))
}
