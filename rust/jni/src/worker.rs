//! The Java side of one runtime thread: an `org.httpkit.engine.Worker` and the native buffer it shares with this thread.
//!
//! A runtime thread gets its worker when it starts and frees it when it stops. A request that arrives on another thread,
//! or while the worker of this thread is busy with one (a handler that answers may make the engine parse the next
//! request right there), is served by a worker made for it alone.

use std::cell::RefCell;
use std::ptr::{self, NonNull};
use std::sync::Once;

use httpkit_engine::{ExchangeId, Flow, Message, Request, Route};
use jni::errors::{Error, Result};
use jni::ids::JMethodID;
use jni::objects::{JByteArray, JByteBuffer, JObject};
use jni::refs::{Global, Reference};
use jni::signature::{Primitive, ReturnType};
use jni::{Env, sys};

use crate::classes::Classes;
use crate::errors::report;
use crate::jvm;
use crate::up_calls;
use crate::wire::RequestBlock;

/// Bytes of a new buffer. Grown for a larger head, never for a body.
const BUFFER_LENGTH: usize = 64 * 1024;

/// Set in the kind of a message that may run in place.
const IN_PLACE: sys::jint = 0x10;
/// Where the number of a message is in its kind, and in the kind of the end of its WebSocket. Java gets 24 bits of it.
pub(crate) const NUMBER_SHIFT: u32 = 8;
/// What `Worker.message` returns when the application has enough messages for now.
const HOLD: usize = 1;

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Has every runtime thread attach itself and make its worker, with the stack of a thread of the JVM's. To be called before the first
/// server starts.
pub(crate) fn install_thread_hooks() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        httpkit_engine::set_thread_hooks(thread_started, thread_stopping);
        if let Some(bytes) = jvm::thread_stack_size() {
            httpkit_engine::set_stack_size(bytes);
        }
    });
}

fn thread_started() {
    let start = || {
        jvm::attach_as_daemon()?;
        let worker = jvm::with_env(|env| {
            let mut worker = Worker::new(env)?;
            worker.number = Some(number(env, &worker.object, worker.classes.worker_number)?);
            Ok(worker)
        })?;
        WORKER.set(Some(worker));
        Ok::<_, Error>(())
    };
    match std::panic::catch_unwind(start) {
        Ok(Ok(())) => {}
        // Requests on this thread are then served by workers of their own, or refused.
        Ok(Err(error)) => report(format_args!("cannot attach a runtime thread to the JVM: {error}")),
        Err(_) => report(format_args!("a panic while attaching a runtime thread to the JVM")),
    }
}

fn thread_stopping() {
    let stop = || {
        drop(WORKER.take());
        jvm::detach();
    };
    if std::panic::catch_unwind(stop).is_err() {
        report(format_args!("a panic while detaching a runtime thread from the JVM"));
    }
}

/// Calls `action` with the worker of this thread, or with one made for the call.
pub(crate) fn with_worker<R>(action: impl FnOnce(&mut Worker) -> Result<R>) -> Result<R> {
    WORKER.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            if let Some(worker) = slot.as_mut() {
                return action(worker);
            }
        }
        jvm::with_env(|env| action(&mut Worker::new(env)?))
    })
}

/// An `org.httpkit.engine.Application` to call.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(crate) object: Global<JObject<'static>>,
    /// What it goes by where no reference can be passed.
    number: sys::jint,
}

impl Callee {
    pub(crate) fn new(env: &mut Env<'_>, object: &JObject<'_>, classes: &Classes) -> Result<Self> {
        Ok(Self { number: number(env, object, classes.application_number)?, object: env.new_global_ref(object)? })
    }
}

/// Calls `int number()`.
fn number(env: &mut Env<'_>, object: &JObject<'_>, method: JMethodID) -> Result<sys::jint> {
    // SAFETY: every caller passes the id of `int number()` of the object's class.
    let number = unsafe { env.call_method_unchecked(object, method, ReturnType::Primitive(Primitive::Int), &[]) };
    number.inspect_err(|_| jvm::describe_and_clear(env))?.i()
}

/// One Java worker. Belongs to the thread it was made on.
#[derive(Debug)]
pub(crate) struct Worker {
    environment: *mut sys::JNIEnv,
    /// What it goes by where no reference can be passed, if it serves a runtime thread.
    number: Option<sys::jint>,
    object: Global<JObject<'static>>,
    buffer: Buffer,
    classes: &'static Classes,
}

impl Worker {
    fn new(env: &mut Env<'_>) -> Result<Self> {
        let classes = Classes::loaded().ok_or(Error::NullPtr("classes"))?;
        let buffer = Buffer::new(BUFFER_LENGTH);
        let view = buffer.view(env)?;
        // SAFETY: the id is that of `Worker(ByteBuffer)`, and the argument is a ByteBuffer.
        let object =
            unsafe { env.new_object_unchecked(&classes.worker, classes.worker_new, &[sys::jvalue { l: view.as_raw() }]) };
        let object = object.inspect_err(|_| jvm::describe_and_clear(env))?;
        Ok(Self { environment: env.get_raw(), number: None, object: env.new_global_ref(object)?, buffer, classes })
    }

    /// Hands one request to Java. Returns the length of the response block Java left in the buffer, 0 if there is none:
    /// the request has been or will be answered by a down-call.
    pub(crate) fn request(
        &mut self,
        application: &Callee,
        id: ExchangeId,
        block: &RequestBlock<'_>,
        request: &Request<'_>,
    ) -> Result<usize> {
        let inline = block.inline_length() <= self.buffer.length;
        if !inline && block.head_length() > self.buffer.length {
            self.grow(block.head_length())?;
        }
        let length = block.write(self.buffer.bytes_mut(), inline).map_err(|_| Error::IndexOutOfBounds)?;
        let (route, body) = (request.route, request.body);
        if inline || body.is_empty() {
            return self.call(application, id, length, route, None);
        }
        jvm::with_env(|env| {
            let array = env.byte_array_from_slice(body)?;
            self.call(application, id, length, route, Some(&array))
        })
    }

    /// Hands one message of a WebSocket to Java.
    pub(crate) fn message(&mut self, application: &Callee, id: ExchangeId, message: &Message<'_>) -> Result<Flow> {
        let (kind, payload) = (numbered_kind(message), message.payload);
        let kind = if message.in_place { kind | IN_PLACE } else { kind };
        let returned = if let Some(place) = self.buffer.bytes_mut().get_mut(..payload.len()) {
            place.copy_from_slice(payload);
            self.call_message(application, id, kind, payload.len(), message.route, None)?
        } else {
            // An array made here is filled with zeroes first, so that only what must be travels in one.
            jvm::with_env(|env| {
                let array = env.byte_array_from_slice(payload)?;
                self.call_message(application, id, kind, payload.len(), message.route, Some(&array))
            })?
        };
        Ok(flow(returned))
    }

    /// Tells Java of a message that could not be handed over, for want of memory or whatever: Java counts messages.
    pub(crate) fn lost(&mut self, application: &Callee, id: ExchangeId, message: &Message<'_>, no_memory: bool) -> Result<Flow> {
        let place = in_java(id, message.payload.len(), message.route)?;
        let arguments = of_message(application, place, numbered_kind(message), sys::jvalue { z: no_memory });
        // SAFETY: the id and the arguments are those of `int Worker.lost(Application, long, int, int, int, int, boolean)`.
        unsafe { self.call_int(self.classes.worker_lost, &arguments) }.map(flow)
    }

    /// The first bytes of the buffer, to be read after [`Worker::request`] returned their number.
    pub(crate) fn block(&mut self, length: usize) -> Option<&[u8]> {
        self.buffer.bytes_mut().get(..length)
    }

    /// `Worker.request`: by a function if Java has made one and no array goes along, else through JNI without the bookkeeping of `Env`.
    fn call(
        &mut self,
        application: &Callee,
        id: ExchangeId,
        length: usize,
        route: Route,
        body: Option<&JByteArray<'_>>,
    ) -> Result<usize> {
        let (connection, exchange, length, route) = in_java(id, length, route)?;
        if let (Some(function), Some(number), None) = (up_calls::request(), self.number, body) {
            // SAFETY: the arguments are those of `UpCalls.request`, worker and application are alive, and this is the thread of the
            // worker. Java uses the buffer meanwhile, and no Rust reference to it is alive.
            return result(unsafe { function(number, application.number, connection, exchange, length, route) });
        }
        let arguments = [
            sys::jvalue { l: application.object.as_raw() },
            sys::jvalue { j: connection },
            sys::jvalue { i: exchange },
            sys::jvalue { i: length },
            sys::jvalue { i: route },
            sys::jvalue { l: body.map_or(ptr::null_mut(), |array| array.as_raw()) },
        ];
        // SAFETY: the id and the arguments are those of `int Worker.requestByJni(Application, long, int, int, int, byte[])`.
        unsafe { self.call_int(self.classes.worker_request, &arguments) }
    }

    /// `Worker.message`, likewise.
    fn call_message(
        &mut self,
        application: &Callee,
        id: ExchangeId,
        kind: sys::jint,
        length: usize,
        route: Route,
        body: Option<&JByteArray<'_>>,
    ) -> Result<usize> {
        let (connection, exchange, length, route) = in_java(id, length, route)?;
        if let (Some(function), Some(number), None) = (up_calls::message(), self.number, body) {
            // SAFETY: the arguments are those of `UpCalls.message`, worker and application are alive, and this is the thread of the
            // worker. Java uses the buffer meanwhile, and no Rust reference to it is alive.
            return result(unsafe { function(number, application.number, connection, exchange, kind, length, route) });
        }
        let body = sys::jvalue { l: body.map_or(ptr::null_mut(), |array| array.as_raw()) };
        let arguments = of_message(application, (connection, exchange, length, route), kind, body);
        // SAFETY: the id and the arguments are those of `int Worker.messageByJni(Application, long, int, int, int, int, byte[])`.
        unsafe { self.call_int(self.classes.worker_message, &arguments) }
    }

    /// Calls a method of the Java worker that returns an int.
    ///
    /// # Safety
    /// `method` is one of `Worker` that returns an int, and `arguments` are those of its signature.
    unsafe fn call_int(&mut self, method: JMethodID, arguments: &[sys::jvalue]) -> Result<usize> {
        // SAFETY: the worker is on its own thread, so `environment` is this thread's; no exception is pending, as every
        // call that may throw is followed by a check; the caller vouches for method and arguments. The call creates no
        // local reference here. Java writes to the buffer meanwhile, and no Rust reference to it is alive. An exception is
        // described and cleared by raw calls, since `Env` would put it aside and throw it again.
        let (returned, thrown) = unsafe {
            let functions = &**self.environment;
            let returned =
                (functions.v1_1.CallIntMethodA)(self.environment, self.object.as_raw(), method.into_raw(), arguments.as_ptr());
            let thrown = (functions.v1_2.ExceptionCheck)(self.environment);
            if thrown {
                (functions.v1_1.ExceptionDescribe)(self.environment);
                (functions.v1_1.ExceptionClear)(self.environment);
            }
            (returned, thrown)
        };
        if thrown {
            return Err(Error::JavaException);
        }
        result(returned)
    }

    /// Replaces the buffer by one of at least `length` bytes, in Java first, so that the old one is freed unused.
    fn grow(&mut self, length: usize) -> Result<()> {
        let bigger = Buffer::new(length.next_power_of_two());
        jvm::with_env(|env| {
            let view = bigger.view(env)?;
            let arguments = [sys::jvalue { l: view.as_raw() }];
            // SAFETY: the id and the argument are those of `void Worker.buffer(ByteBuffer)`.
            let outcome = unsafe {
                env.call_method_unchecked(
                    &self.object,
                    self.classes.worker_buffer,
                    ReturnType::Primitive(Primitive::Void),
                    &arguments,
                )
            };
            outcome.inspect_err(|_| jvm::describe_and_clear(env))?;
            Ok(())
        })?;
        self.buffer = bigger;
        Ok(())
    }
}

/// The kind of a message, and its number.
fn numbered_kind(message: &Message<'_>) -> sys::jint {
    message.kind as sys::jint | (message.number << NUMBER_SHIFT) as sys::jint
}

/// The arguments of an up-call for a message, of which the last is the method's own.
fn of_message(application: &Callee, place: InJava, kind: sys::jint, last: sys::jvalue) -> [sys::jvalue; 7] {
    let (connection, exchange, length, route) = place;
    [
        sys::jvalue { l: application.object.as_raw() },
        sys::jvalue { j: connection },
        sys::jvalue { i: exchange },
        sys::jvalue { i: kind },
        sys::jvalue { i: length },
        sys::jvalue { i: route },
        last,
    ]
}

/// What each up-call says of its exchange (two numbers), its length and its route, in Java's types.
type InJava = (sys::jlong, sys::jint, sys::jint, sys::jint);

fn in_java(id: ExchangeId, length: usize, route: Route) -> Result<InJava> {
    let length = sys::jint::try_from(length).map_err(|_| Error::IndexOutOfBounds)?;
    Ok((id.connection as sys::jlong, id.exchange as sys::jint, length, sys::jint::from(route.to_wire())))
}

/// The meaning of the flow that Java returned.
fn flow(returned: usize) -> Flow {
    if returned == HOLD { Flow::Hold } else { Flow::GoOn }
}

/// The length or flow that Java returned.
fn result(returned: sys::jint) -> Result<usize> {
    if returned == up_calls::THROWN {
        Err(Error::JavaException)
    } else {
        usize::try_from(returned).map_err(|_| Error::IndexOutOfBounds)
    }
}

/// Memory that Java sees as a direct `ByteBuffer`: a boxed slice kept as a pointer, because Java writes to it
/// behind the back of any Rust reference.
#[derive(Debug)]
struct Buffer {
    start: NonNull<u8>,
    length: usize,
}

impl Buffer {
    fn new(length: usize) -> Self {
        let bytes: &'static mut [u8] = Box::leak(vec![0; length].into_boxed_slice());
        Self { start: NonNull::from(bytes).cast(), length }
    }

    /// Exclusive between two calls into Java: only `Worker.request` and `Worker.buffer` touch the memory, on this thread.
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `start` and `length` are those of a live boxed slice this value owns, and the borrow of `self` keeps a
        // second reference and, as every call into Java borrows the worker, Java away.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// A direct buffer over the memory. The Java worker is its only holder and is not called once `self` is gone.
    fn view<'local>(&self, env: &mut Env<'local>) -> Result<JByteBuffer<'local>> {
        // SAFETY: the memory is live for as long as Java uses the view, see above.
        unsafe { env.new_direct_byte_buffer(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = NonNull::slice_from_raw_parts(self.start, self.length);
        // SAFETY: `new` leaked a box of exactly this slice, and nothing else frees it.
        drop(unsafe { Box::from_raw(bytes.as_ptr()) });
    }
}
