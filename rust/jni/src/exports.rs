//! The native methods of `org.httpkit.engine.Native`, in the order of its declarations.
//!
//! Each runs in [`guarded`]: a failure becomes the exception of [`Failure`], a panic an `InternalError`.

use std::ptr::{self, NonNull};

use httpkit_engine::websocket::Opcode;
use httpkit_engine::{
    Address, BodyPiece, COUNTERS, Exchange, ExchangeId, GAUGES, Route, Sent, Server, UpgradeOptions, observe, with_exchange,
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

/// Bodies up to this length are copied into the response at once; larger ones stay in their array until they are sent.
const COPIED_BODY: jint = 64 * 1024;
/// In the flags of an upgrade: the application answers pings itself.
const UPGRADE_OWN_PONG: jint = 1;

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_start<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    application: JObject<'local>,
    configuration: JByteArray<'local>,
) -> jlong {
    guarded(env, Point::Start, |env| {
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
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_port<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    server: jlong,
) -> jint {
    guarded(env, Point::Port, |_| {
        let server = SERVERS.get(server).ok_or(Failure::NoServer)?;
        Ok(server.port().map_or(-1, jint::from))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_drain<'local>(env: EnvUnowned<'local>, _class: JClass<'local>, server: jlong) {
    guarded(env, Point::Drain, |_| {
        SERVERS.get(server).ok_or(Failure::NoServer)?.drain();
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_close<'local>(env: EnvUnowned<'local>, _class: JClass<'local>, server: jlong) {
    guarded(env, Point::Close, |_| {
        if let Some(server) = SERVERS.remove(server) {
            server.close();
        }
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_stats<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    server: jlong,
    counters: JLongArray<'local>,
) {
    guarded(env, Point::Stats, |env| {
        let server = SERVERS.get(server).ok_or(Failure::NoServer)?;
        let mut values = [0; COUNTERS + GAUGES];
        for (value, number) in values.iter_mut().zip(server.stats().into_iter().chain(server.gauges())) {
            *value = jlong::try_from(number).unwrap_or(jlong::MAX);
        }
        counters.set_region(env, 0, &values)?;
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_upCalls<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    request: jlong,
    message: jlong,
) {
    guarded(env, Point::UpCalls, |_| {
        // SAFETY: only `UpCalls.java` calls this, with functions of these signatures in the global arena, which is never closed.
        unsafe { up_calls::install(request, message) };
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_observe<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    route: jint,
    quick: jboolean,
) {
    guarded(env, Point::Observe, |_| {
        observe(Route::from_wire(route as u16), quick);
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_respond<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    block: JByteArray<'local>,
    length: jint,
) -> jint {
    guarded(env, Point::Respond, |env| {
        with_bytes(env, &[head_of(&block, length)], |[block]| {
            let response = ResponseBlock::read(block)?;
            on(connection, exchange, |exchange| exchange.respond(response.head(), response.body()))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_respondBytes<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    block: JByteArray<'local>,
    length: jint,
    body: JByteArray<'local>,
    offset: jint,
    count: jint,
) -> jint {
    guarded(env, Point::RespondBytes, |env| {
        let head = head_of(&block, length);
        let region = Region { array: &body, offset, count };
        if count <= COPIED_BODY {
            return with_bytes(env, &[head, region], |[block, body]| {
                let response = without_body(block)?;
                on(connection, exchange, |exchange| exchange.respond(response.head(), body))
            });
        }
        region.check(env)?;
        let source = ArrayBody::new(env.new_global_ref(&body)?, offset, count);
        with_bytes(env, &[head], |[block]| {
            let response = without_body(block)?;
            on(connection, exchange, |exchange| exchange.respond_source(response.head(), Box::new(source)))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_respondFile<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    block: JByteArray<'local>,
    length: jint,
    path: JByteArray<'local>,
) -> jint {
    guarded(env, Point::RespondFile, |env| {
        let path = Region::whole(env, &path)?;
        with_bytes(env, &[head_of(&block, length), path], |[block, path]| {
            let response = without_body(block)?;
            let (file, size) = file::open(path)?;
            on(connection, exchange, |exchange| exchange.respond_file(response.head(), file, size))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_startStream<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    block: JByteArray<'local>,
    length: jint,
) -> jint {
    guarded(env, Point::StartStream, |env| {
        with_bytes(env, &[head_of(&block, length)], |[block]| {
            let response = without_body(block)?;
            on(connection, exchange, |exchange| exchange.start(response.head()))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_send<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    data: JByteArray<'local>,
    offset: jint,
    count: jint,
    finish: jboolean,
) -> jint {
    guarded(env, Point::Send, |env| {
        with_bytes(env, &[Region { array: &data, offset, count }], |[bytes]| {
            on(connection, exchange, |exchange| Ok::<_, Failure>(exchange.send(bytes, finish)))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_receive<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
) -> JByteArray<'local> {
    guarded(env, Point::Receive, |env| {
        let id = id(connection, exchange);
        match with_exchange(id, |exchange| exchange.receive()) {
            Some(BodyPiece::Bytes(bytes)) => Ok(env.byte_array_from_slice(&bytes).inspect_err(|_| {
                // No reader may go on behind what it has not seen.
                with_exchange(id, |exchange| exchange.abort());
            })?),
            Some(BodyPiece::Later) => Ok(JByteArray::null()),
            Some(BodyPiece::End) => Ok(env.new_byte_array(0)?),
            Some(BodyPiece::Lost) | None => Err(Failure::BodyLost),
        }
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_upgrade<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    block: JByteArray<'local>,
    length: jint,
    flags: jint,
    max_message: jint,
    idle_millis: jint,
) -> jint {
    guarded(env, Point::Upgrade, |env| {
        let options = UpgradeOptions {
            own_pong: flags & UPGRADE_OWN_PONG != 0,
            max_message: u32::try_from(max_message).unwrap_or(0),
            idle_millis: u32::try_from(idle_millis).unwrap_or(0),
        };
        with_bytes(env, &[head_of(&block, length)], |[block]| {
            let response = without_body(block)?;
            on(connection, exchange, |exchange| exchange.upgrade(response.head().headers, options))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_sendMessage<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    opcode: jint,
    payload: JByteArray<'local>,
    offset: jint,
    count: jint,
) -> jint {
    guarded(env, Point::SendMessage, |env| {
        let opcode = u8::try_from(opcode).ok().and_then(Opcode::from_bits);
        let sendable = |opcode: &Opcode| !matches!(opcode, Opcode::Continuation | Opcode::Close);
        let opcode = opcode.filter(sendable).ok_or(Malformed("no opcode of a message, a ping or a pong"))?;
        with_bytes(env, &[Region { array: &payload, offset, count }], |[payload]| {
            on(connection, exchange, |exchange| exchange.send_message(opcode, payload))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_sendText<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    address: jlong,
    count: jint,
) -> jint {
    guarded(env, Point::SendText, |_| {
        let length = usize::try_from(count).map_err(|_| Malformed("a negative length"))?;
        let start = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address as usize)).ok_or(Malformed("no address"))?;
        // SAFETY: `NativeText`, the only caller, passes memory of at least that length that is alive and that nobody writes until this
        // returns.
        let text = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
        on(connection, exchange, |exchange| exchange.send_message(Opcode::Text, text))
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_closeWebSocket<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
    code: jint,
    reason: JByteArray<'local>,
) -> jint {
    guarded(env, Point::CloseWebSocket, |env| {
        let region = Region::whole(env, &reason)?;
        with_bytes(env, &[region], |[reason]| {
            let reason = std::str::from_utf8(reason).map_err(|_| Malformed("a close reason that is not UTF-8"))?;
            on(connection, exchange, |exchange| exchange.close_websocket(code, reason))
        })
    })
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_resume<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
) {
    guarded(env, Point::Resume, |_| {
        with_exchange(id(connection, exchange), |exchange| exchange.resume());
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_watch<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
) -> jboolean {
    guarded(env, Point::Watch, |_| Ok(with_exchange(id(connection, exchange), |exchange| exchange.watch()).unwrap_or(false)))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_abort<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
    exchange: jint,
) {
    guarded(env, Point::Abort, |_| {
        with_exchange(id(connection, exchange), |exchange| exchange.abort());
        Ok(())
    });
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_localAddress<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
) -> JString<'local> {
    guarded(env, Point::LocalAddress, |env| address_text(env, connection, |exchange| exchange.local_address()))
}

#[unsafe(no_mangle)]
extern "system" fn Java_org_httpkit_engine_Native_remoteAddress<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    connection: jlong,
) -> JString<'local> {
    guarded(env, Point::RemoteAddress, |env| address_text(env, connection, |exchange| Some(exchange.remote_address())))
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
fn on<E>(connection: jlong, exchange: jint, action: impl FnOnce(&Exchange<'_>) -> Result<Sent, E>) -> Result<jint, Failure>
where
    Failure: From<E>,
{
    Ok(match with_exchange(id(connection, exchange), action).transpose()? {
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
