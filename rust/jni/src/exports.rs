//! The native methods of `org.httpkit.engine.Native`, in the order of its declarations.
//!
//! A table makes each function a symbol of the library, and runs it in [`guarded`]: a failure becomes the exception of [`Failure`], a panic an
//! `InternalError`.
#![allow(clippy::needless_pass_by_value, reason = "arguments are passed as they come from Java")]

use std::ptr::{self, NonNull};

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{
    Address, BodyPiece, COUNTERS, Exchange, ExchangeId, GAUGES, Route, Sent, Server, UpgradeOptions, with_exchange,
};
use jni::objects::{JByteArray, JClass, JLongArray, JObject, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, EnvUnowned};

use crate::address::java_text;
use crate::application::JavaApplication;
use crate::array::{Region, with_bytes};
use crate::body::ArrayBody;
use crate::classes::Classes;
use crate::errors::{Failure, ThrowException};
use crate::fault::{self, Point};
use crate::file;
use crate::servers::SERVERS;
use crate::up_calls;
use crate::wire::{Malformed, ResponseBlock, read_configuration};
use crate::worker::{self, Callee};

/// Bodies up to this length are copied into the response at once, and Java may use their array again (`Scratch`); larger ones stay in it until
/// they are sent.
const COPIED_BODY: jint = 64 * 1024;
/// In the flags of an upgrade: the application answers pings itself.
const UPGRADE_OWN_PONG: jint = 1;

/// Makes a native method of a function: the point at which a test can have it panic, the function and its arguments, what it returns, and
/// its name in Java. There an `exchange` is two numbers.
macro_rules! exports {
    ($($point:ident: $function:ident($($argument:ident $(: $type:ty)?),*) -> $result:ty = $name:literal;)*) => {
        $(export!($point $function ($($argument $(: $type)?),*) $result, $name);)*
    };
}

macro_rules! export {
    ($point:ident $function:ident (exchange $(, $argument:ident: $type:ty)*) $result:ty, $name:literal) => {
        export!($point (connection: jlong, exchange: jint $(, $argument: $type)*) $result, $name,
            |env| $function(env, id(connection, exchange) $(, $argument)*));
    };
    ($point:ident $function:ident ($($argument:ident: $type:ty),*) $result:ty, $name:literal) => {
        export!($point ($($argument: $type),*) $result, $name, |env| $function(env, $($argument),*));
    };
    ($point:ident ($($argument:ident: $type:ty),*) $result:ty, $name:literal, $body:expr) => {
        const _: () = {
            #[unsafe(export_name = concat!("Java_org_httpkit_engine_Native_", $name))]
            extern "system" fn export<'local>(env: EnvUnowned<'local>, _class: JClass<'local>, $($argument: $type),*) -> $result {
                guarded(env, Point::$point, $body)
            }
        };
    };
}

exports! {
    Start: start(application: JObject<'local>, configuration: JByteArray<'local>) -> jlong = "start";
    Port: port(server: jlong) -> jint = "port";
    Drain: drain(server: jlong) -> () = "drain";
    Close: close(server: jlong) -> () = "close";
    Stats: stats(server: jlong, counters: JLongArray<'local>) -> () = "stats";
    UpCalls: up_calls(request: jlong, message: jlong) -> () = "upCalls";
    Observe: observe(route: jint, quick: jboolean) -> () = "observe";
    Respond: respond(exchange, block: JByteArray<'local>, length: jint) -> jint = "respond";
    RespondBytes: respond_bytes(exchange, block: JByteArray<'local>, length: jint, body: JByteArray<'local>, offset: jint, count: jint)
        -> jint = "respondBytes";
    RespondFile: respond_file(exchange, block: JByteArray<'local>, length: jint, path: JByteArray<'local>) -> jint = "respondFile";
    StartStream: start_stream(exchange, block: JByteArray<'local>, length: jint) -> jint = "startStream";
    Send: send(exchange, data: JByteArray<'local>, offset: jint, count: jint, finish: jboolean) -> jint = "send";
    Receive: receive(exchange) -> JByteArray<'local> = "receive";
    Upgrade: upgrade(exchange, block: JByteArray<'local>, length: jint, flags: jint, max_message: jint, idle_millis: jint)
        -> jint = "upgrade";
    SendMessage: send_message(exchange, opcode: jint, payload: JByteArray<'local>, offset: jint, count: jint)
        -> jint = "sendMessage";
    SendText: send_text(exchange, address: jlong, count: jint) -> jint = "sendText";
    CloseWebSocket: close_web_socket(exchange, code: jint, reason: JByteArray<'local>) -> jint = "closeWebSocket";
    Resume: resume(exchange) -> () = "resume";
    Watch: watch(exchange) -> jboolean = "watch";
    Abort: abort(exchange) -> () = "abort";
    LocalAddress: local_address(connection: jlong) -> JString<'local> = "localAddress";
    RemoteAddress: remote_address(connection: jlong) -> JString<'local> = "remoteAddress";
}

fn start(env: &mut Env<'_>, application: JObject<'_>, configuration: JByteArray<'_>) -> Result<jlong, Failure> {
    let classes = Classes::load(env)?;
    worker::install_thread_hooks();
    let whole = Region::whole(env, &configuration)?;
    let server = with_bytes(env, &[whole], |[bytes]| read_configuration(bytes).map_err(Failure::from))?;
    if application.is_null() {
        return Err(jni::errors::Error::NullPtr("application").into());
    }
    let application = JavaApplication::new(Callee::new(env, &application, classes)?, classes);
    let server = Server::start(server, std::sync::Arc::new(application)).map_err(Failure::Start)?;
    Ok(SERVERS.insert(server))
}

fn port(_env: &mut Env<'_>, server: jlong) -> Result<jint, Failure> {
    let server = SERVERS.get(server).ok_or(Failure::NoServer)?;
    Ok(server.port().map_or(-1, jint::from))
}

fn drain(_env: &mut Env<'_>, server: jlong) -> Result<(), Failure> {
    SERVERS.get(server).ok_or(Failure::NoServer)?.drain();
    Ok(())
}

fn close(_env: &mut Env<'_>, server: jlong) -> Result<(), Failure> {
    if let Some(server) = SERVERS.remove(server) {
        server.close();
    }
    Ok(())
}

fn stats(env: &mut Env<'_>, server: jlong, counters: JLongArray<'_>) -> Result<(), Failure> {
    let server = SERVERS.get(server).ok_or(Failure::NoServer)?;
    let mut values = [0; COUNTERS + GAUGES];
    for (value, number) in values.iter_mut().zip(server.stats().into_iter().chain(server.gauges())) {
        *value = jlong::try_from(number).unwrap_or(jlong::MAX);
    }
    counters.set_region(env, 0, &values)?;
    Ok(())
}

fn up_calls(_env: &mut Env<'_>, request: jlong, message: jlong) -> Result<(), Failure> {
    // SAFETY: only `UpCalls.java` calls this, with functions of these signatures in the global arena, which is never closed.
    unsafe { up_calls::install(request, message) };
    Ok(())
}

fn observe(_env: &mut Env<'_>, route: jint, quick: jboolean) -> Result<(), Failure> {
    httpkit_engine::observe(Route::from_wire(route as u16), quick);
    Ok(())
}

fn respond(env: &mut Env<'_>, id: ExchangeId, block: JByteArray<'_>, length: jint) -> Result<jint, Failure> {
    with_bytes(env, &[head_of(&block, length)], |[block]| {
        let response = ResponseBlock::read(block)?;
        on(id, |exchange| exchange.respond(response.head(), response.body()))
    })
}

fn respond_bytes(
    env: &mut Env<'_>,
    id: ExchangeId,
    block: JByteArray<'_>,
    length: jint,
    body: JByteArray<'_>,
    offset: jint,
    count: jint,
) -> Result<jint, Failure> {
    let head = head_of(&block, length);
    let region = Region { array: &body, offset, count };
    if count <= COPIED_BODY {
        return with_bytes(env, &[head, region], |[block, body]| {
            let response = without_body(block)?;
            on(id, |exchange| exchange.respond(response.head(), body))
        });
    }
    region.check(env)?;
    let source = ArrayBody::new(env.new_global_ref(&body)?, offset, count);
    with_bytes(env, &[head], |[block]| {
        let response = without_body(block)?;
        on(id, |exchange| exchange.respond_source(response.head(), Box::new(source)))
    })
}

fn respond_file(
    env: &mut Env<'_>,
    id: ExchangeId,
    block: JByteArray<'_>,
    length: jint,
    path: JByteArray<'_>,
) -> Result<jint, Failure> {
    let path = Region::whole(env, &path)?;
    with_bytes(env, &[head_of(&block, length), path], |[block, path]| {
        let response = without_body(block)?;
        let (file, size) = file::open(path)?;
        on(id, |exchange| exchange.respond_file(response.head(), file, size))
    })
}

fn start_stream(env: &mut Env<'_>, id: ExchangeId, block: JByteArray<'_>, length: jint) -> Result<jint, Failure> {
    with_bytes(env, &[head_of(&block, length)], |[block]| {
        let response = without_body(block)?;
        on(id, |exchange| exchange.start(response.head()))
    })
}

fn send(
    env: &mut Env<'_>,
    id: ExchangeId,
    data: JByteArray<'_>,
    offset: jint,
    count: jint,
    finish: jboolean,
) -> Result<jint, Failure> {
    with_bytes(env, &[Region { array: &data, offset, count }], |[bytes]| {
        on(id, |exchange| Ok::<_, Failure>(exchange.send(bytes, finish)))
    })
}

fn receive<'local>(env: &mut Env<'local>, id: ExchangeId) -> Result<JByteArray<'local>, Failure> {
    match with_exchange(id, |exchange| exchange.receive()) {
        Some(BodyPiece::Bytes(bytes)) => Ok(env.byte_array_from_slice(&bytes).inspect_err(|_| {
            // No reader may go on behind what it has not seen.
            with_exchange(id, |exchange| exchange.abort());
        })?),
        Some(BodyPiece::Later) => Ok(JByteArray::null()),
        Some(BodyPiece::End) => Ok(env.new_byte_array(0)?),
        Some(BodyPiece::Lost) | None => Err(Failure::BodyLost),
    }
}

fn upgrade(
    env: &mut Env<'_>,
    id: ExchangeId,
    block: JByteArray<'_>,
    length: jint,
    flags: jint,
    max_message: jint,
    idle_millis: jint,
) -> Result<jint, Failure> {
    let options = UpgradeOptions {
        own_pong: flags & UPGRADE_OWN_PONG != 0,
        max_message: u32::try_from(max_message).unwrap_or(0),
        idle_millis: u32::try_from(idle_millis).unwrap_or(0),
    };
    with_bytes(env, &[head_of(&block, length)], |[block]| {
        let response = without_body(block)?;
        on(id, |exchange| exchange.upgrade(response.head().headers, options))
    })
}

fn send_message(
    env: &mut Env<'_>,
    id: ExchangeId,
    opcode: jint,
    payload: JByteArray<'_>,
    offset: jint,
    count: jint,
) -> Result<jint, Failure> {
    let opcode = u8::try_from(opcode).ok().and_then(Opcode::from_bits);
    let sendable = |opcode: &Opcode| !matches!(opcode, Opcode::Continuation | Opcode::Close);
    let opcode = opcode.filter(sendable).ok_or(Malformed("no opcode of a message, a ping or a pong"))?;
    with_bytes(env, &[Region { array: &payload, offset, count }], |[payload]| {
        on(id, |exchange| exchange.send_message(opcode, payload))
    })
}

fn send_text(_env: &mut Env<'_>, id: ExchangeId, address: jlong, count: jint) -> Result<jint, Failure> {
    let length = usize::try_from(count).map_err(|_| Malformed("a negative length"))?;
    let start = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address as usize)).ok_or(Malformed("no address"))?;
    // SAFETY: `NativeText`, the only caller, passes memory of at least that length that is alive and that nobody writes until this
    // returns.
    let text = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
    on(id, |exchange| exchange.send_message(Opcode::Text, text))
}

fn close_web_socket(env: &mut Env<'_>, id: ExchangeId, code: jint, reason: JByteArray<'_>) -> Result<jint, Failure> {
    let region = Region::whole(env, &reason)?;
    with_bytes(env, &[region], |[reason]| {
        let reason = std::str::from_utf8(reason).map_err(|_| Malformed("a close reason that is not UTF-8"))?;
        on(id, |exchange| exchange.close_websocket(code, reason))
    })
}

fn resume(_env: &mut Env<'_>, id: ExchangeId) -> Result<(), Failure> {
    with_exchange(id, |exchange| exchange.resume());
    Ok(())
}

fn watch(_env: &mut Env<'_>, id: ExchangeId) -> Result<jboolean, Failure> {
    Ok(with_exchange(id, |exchange| exchange.watch()).unwrap_or(false))
}

fn abort(_env: &mut Env<'_>, id: ExchangeId) -> Result<(), Failure> {
    with_exchange(id, |exchange| exchange.abort());
    Ok(())
}

fn local_address<'local>(env: &mut Env<'local>, connection: jlong) -> Result<JString<'local>, Failure> {
    address_text(env, connection, |exchange| exchange.local_address())
}

fn remote_address<'local>(env: &mut Env<'local>, connection: jlong) -> Result<JString<'local>, Failure> {
    address_text(env, connection, |exchange| Some(exchange.remote_address()))
}

/// Makes a later call panic, see [`Point`]. Only in debug builds and with the feature `fault-injection`.
#[cfg(any(debug_assertions, feature = "fault-injection"))]
#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_panic<'local>(
    mut env: EnvUnowned<'local>,
    _class: JClass<'local>,
    point: jint,
) {
    env.with_env(|_| {
        fault::arm(point);
        Ok::<_, Failure>(())
    })
    .resolve::<ThrowException>();
}

/// The one guard of all exports: nothing may unwind into the JVM.
fn guarded<'local, T: Default>(
    mut env: EnvUnowned<'local>,
    point: Point,
    body: impl FnOnce(&mut Env<'local>) -> Result<T, Failure>,
) -> T {
    env.with_env(|env| {
        fault::pass(point);
        body(env)
    })
    .resolve::<ThrowException>()
}

/// Calls `action` with an exchange and returns the code Java knows its outcome by.
fn on<E>(id: ExchangeId, action: impl FnOnce(&Exchange<'_>) -> Result<Sent, E>) -> Result<jint, Failure>
where
    Failure: From<E>,
{
    Ok(match with_exchange(id, action).transpose()? {
        None | Some(Sent::NotOpen) => 0,
        Some(Sent::Accepted) => 1,
        Some(Sent::Full) => 2,
    })
}

fn id(connection: jlong, exchange: jint) -> ExchangeId {
    ExchangeId { connection: connection as u64, exchange: exchange as u32 }
}

fn head_of<'a, 'local>(block: &'a JByteArray<'local>, length: jint) -> Region<'a, 'local> {
    Region { array: block, offset: 0, count: length }
}

/// A response block whose body comes from elsewhere.
fn without_body(block: &[u8]) -> Result<ResponseBlock<'_>, Malformed> {
    let response = ResponseBlock::read(block)?;
    if response.body().is_empty() { Ok(response) } else { Err(Malformed("the block has a body of its own")) }
}

fn address_text<'local>(
    env: &mut Env<'local>,
    connection: jlong,
    address: impl FnOnce(&Exchange<'_>) -> Option<Address>,
) -> Result<JString<'local>, Failure> {
    // An address belongs to the connection: any exchange number does.
    match with_exchange(id(connection, 0), address).flatten() {
        Some(address) => Ok(env.new_string(java_text(&address))?),
        None => Ok(JString::null()),
    }
}
