//! The Java application as the engine sees it: every up-call, each with its guard against panics and exceptions.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use httpkit_engine::{Application, CloseCause, Exchange, ExchangeId, Flow, Message, Request, ResponseHead, SocketEnd};
use jni::Env;
use jni::errors::{Error, JniError, Result};
use jni::ids::JMethodID;
use jni::refs::Reference;
use jni::signature::{Primitive, ReturnType};
use jni::sys::jvalue;

use crate::classes::Classes;
use crate::errors::{panic_text, report};
use crate::fault::{self, Point};
use crate::jvm;
use crate::wire::{Malformed, RequestBlock, ResponseBlock};
use crate::worker::{Callee, NUMBER_SHIFT, with_worker};

/// An `org.httpkit.engine.Application`, kept for as long as the engine keeps its server.
#[derive(Debug)]
pub(crate) struct JavaApplication {
    callee: Callee,
    classes: &'static Classes,
}

/// What became of a request Java was given.
enum Outcome {
    /// Answered, or to be answered by a down-call.
    Done,
    /// The response in the buffer was refused, for this reason.
    InvalidResponse(String),
}

impl JavaApplication {
    pub(crate) fn new(callee: Callee, classes: &'static Classes) -> Self {
        Self { callee, classes }
    }

    fn dispatch(&self, exchange: &Exchange<'_>, request: &Request<'_>) {
        fault::pass(Point::Request);
        let Ok(block) = RequestBlock::measure(request) else {
            return refuse(exchange, 431);
        };
        let outcome = with_worker(|worker| {
            let length = worker.request(&self.callee, exchange.id(), &block, request)?;
            if length == 0 {
                return Ok(Outcome::Done);
            }
            let bytes = worker.block(length).ok_or(Error::IndexOutOfBounds)?;
            Ok(answer(exchange, bytes))
        });
        match outcome {
            Ok(Outcome::Done) => {}
            Ok(Outcome::InvalidResponse(message)) => self.invalid_response(exchange, &message),
            Err(Error::JniCall(JniError::NoMemory)) => self.no_memory(exchange, request.body.len()),
            // Described when it was caught.
            Err(Error::JavaException) => refuse(exchange, 500),
            Err(error) => {
                report(format_args!("cannot hand a request to the application: {error}"));
                refuse(exchange, 500);
            }
        }
    }

    /// Has Java log the reason and answer 500 itself; if it throws instead, the answer is given here.
    fn invalid_response(&self, exchange: &Exchange<'_>, message: &str) {
        let outcome = self.call(self.classes.invalid_response, |env| {
            let message = env.new_string(message)?;
            let [connection, number] = identity(exchange.id());
            Ok([connection, number, jvalue { l: message.as_raw() }])
        });
        if outcome.is_err() {
            refuse(exchange, 500);
        }
    }

    /// Has Java log that there was no array for the body and answer 503, likewise.
    fn no_memory(&self, exchange: &Exchange<'_>, length: usize) {
        let outcome = self.call(self.classes.no_memory, |_| {
            let [connection, number] = identity(exchange.id());
            Ok([connection, number, jvalue { i: i32::try_from(length).unwrap_or(i32::MAX) }])
        });
        if outcome.is_err() {
            refuse(exchange, 503);
        }
    }

    /// A message that the application may not have taken is not followed by others: it closes the WebSocket, or else it is cut.
    fn lost(&self, exchange: &Exchange<'_>, message: &Message<'_>, no_memory: bool) -> Flow {
        let outcome = guarded(|| with_worker(|worker| worker.lost(&self.callee, exchange.id(), message, no_memory)));
        if let Some(Ok(flow)) = outcome {
            return flow;
        }
        exchange.abort();
        Flow::GoOn
    }

    /// One up-call with news. Returns false if it failed, mostly for want of memory, and may be repeated: an exception has been described.
    fn notify<const N: usize>(&self, method: JMethodID, arguments: impl FnOnce(&mut Env<'_>) -> Result<[jvalue; N]>) -> bool {
        let outcome = guarded(|| {
            fault::pass(Point::UpCall);
            self.call(method, arguments)
        });
        match outcome {
            Some(Ok(())) => true,
            None | Some(Err(Error::JavaException)) => false,
            Some(Err(error)) => {
                report(format_args!("cannot call the application: {error}"));
                false
            }
        }
    }

    /// Calls a `void` method of the Java application with arguments that fit its signature.
    fn call<const N: usize>(&self, method: JMethodID, arguments: impl FnOnce(&mut Env<'_>) -> Result<[jvalue; N]>) -> Result<()> {
        jvm::with_env(|env| {
            let arguments = arguments(env)?;
            // SAFETY: every caller is in this file and takes the id from `Classes`, where its signature stands, together
            // with arguments of that signature; `object` is an instance of the class of the ids.
            let outcome = unsafe {
                env.call_method_unchecked(&self.callee.object, method, ReturnType::Primitive(Primitive::Void), &arguments)
            };
            if outcome.is_err() {
                jvm::describe_and_clear(env);
            }
            outcome.map(drop)
        })
    }
}

impl Application for JavaApplication {
    fn request(&self, exchange: &Exchange<'_>, request: &Request<'_>) {
        fault::pass(Point::Task);
        if guarded(|| self.dispatch(exchange, request)).is_none() {
            // A no-op if the panic came after the answer.
            guarded(|| refuse(exchange, 500));
        }
    }

    fn writable(&self, exchange: ExchangeId) -> bool {
        self.notify(self.classes.writable, |_| Ok(identity(exchange)))
    }

    fn readable(&self, exchange: ExchangeId) -> bool {
        self.notify(self.classes.readable, |_| Ok(identity(exchange)))
    }

    fn closed(&self, exchange: ExchangeId, cause: CloseCause) -> bool {
        self.notify(self.classes.closed, |_| {
            let [connection, number] = identity(exchange);
            Ok([connection, number, jvalue { i: cause as i32 }])
        })
    }

    fn message(&self, exchange: &Exchange<'_>, message: &Message<'_>) -> Flow {
        let outcome = guarded(|| {
            fault::pass(Point::Message);
            with_worker(|worker| worker.message(&self.callee, exchange.id(), message))
        });
        match outcome {
            Some(Ok(flow)) => flow,
            Some(Err(Error::JniCall(JniError::NoMemory))) => self.lost(exchange, message, true),
            // Described when it was caught.
            Some(Err(Error::JavaException)) | None => self.lost(exchange, message, false),
            Some(Err(error)) => {
                report(format_args!("cannot hand a message to the application: {error}"));
                self.lost(exchange, message, false)
            }
        }
    }

    fn websocket_closed(&self, exchange: ExchangeId, end: &SocketEnd, messages: u32) -> bool {
        self.notify(self.classes.websocket_closed, |env| {
            let reason = env.new_string(&end.reason)?;
            let [connection, number] = identity(exchange);
            let (kind, code) = (end.kind as i32 | (messages << NUMBER_SHIFT) as i32, i32::from(end.code));
            Ok([connection, number, jvalue { i: kind }, jvalue { i: code }, jvalue { l: reason.as_raw() }])
        })
    }

    fn rejected(&self, status: u16) {
        self.notify(self.classes.rejected, |_| Ok([jvalue { i: i32::from(status) }]));
    }

    fn accept_failed(&self, error: &io::Error) {
        self.notify(self.classes.accept_failed, |env| {
            let message = env.new_string(error.to_string())?;
            Ok([jvalue { l: message.as_raw() }])
        });
    }

    fn drained(&self) -> bool {
        self.notify(self.classes.drained, |_| Ok([]))
    }
}

/// Gives the engine the response Java left in the buffer.
fn answer(exchange: &Exchange<'_>, bytes: &[u8]) -> Outcome {
    let response = match ResponseBlock::read(bytes) {
        Ok(response) => response,
        Err(Malformed(text)) => return Outcome::InvalidResponse(text.to_owned()),
    };
    match exchange.respond(response.head(), response.body()) {
        Ok(_) => Outcome::Done,
        Err(invalid) => Outcome::InvalidResponse(invalid.to_string()),
    }
}

/// Answers with a bare status, for want of an application that could.
fn refuse(exchange: &Exchange<'_>, status: u16) {
    let head = ResponseHead { status, headers: std::iter::empty(), declared_length: None };
    // The status is valid and there is no header to refuse.
    let _ = exchange.respond(head, b"");
}

/// The first two arguments of every up-call about an exchange.
fn identity(id: ExchangeId) -> [jvalue; 2] {
    [jvalue { j: id.connection as i64 }, jvalue { i: id.exchange as i32 }]
}

/// Keeps a panic from unwinding into the engine. The panic hook has printed it; where it came from is added.
fn guarded<R>(action: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(value) => Some(value),
        Err(payload) => {
            report(format_args!("a panic in an up-call: {}", panic_text(payload.as_ref())));
            // Its destructor may panic as well.
            std::mem::forget(payload);
            None
        }
    }
}
