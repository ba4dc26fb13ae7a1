//! The Java classes and methods the library calls, looked up once.
//!
//! The look-up happens in the first `Native.start`, on a Java thread inside a native method: there `FindClass` uses
//! the class loader of `Native`, while on an attached thread it would see only the system class path.

use jni::errors::Result;
use jni::ids::JMethodID;
use jni::objects::JClass;
use jni::refs::Global;
use jni::strings::JNIStr;
use jni::{Env, jni_sig, jni_str};
use once_cell::sync::OnceCell;

static CLASSES: OnceCell<Classes> = OnceCell::new();

/// Classes and method ids. The ids stay valid because the global references keep their classes from being unloaded.
#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) worker: Global<JClass<'static>>,
    pub(crate) worker_new: JMethodID,
    pub(crate) worker_buffer: JMethodID,
    pub(crate) worker_number: JMethodID,
    pub(crate) worker_request: JMethodID,
    pub(crate) worker_message: JMethodID,
    pub(crate) worker_lost: JMethodID,
    pub(crate) application_number: JMethodID,
    pub(crate) writable: JMethodID,
    pub(crate) readable: JMethodID,
    pub(crate) closed: JMethodID,
    pub(crate) websocket_closed: JMethodID,
    pub(crate) rejected: JMethodID,
    pub(crate) accept_failed: JMethodID,
    pub(crate) drained: JMethodID,
    pub(crate) invalid_response: JMethodID,
    pub(crate) no_memory: JMethodID,
    /// Held for the ids above only.
    _application: Global<JClass<'static>>,
}

impl Classes {
    /// Looks everything up unless that has been done.
    pub(crate) fn load(env: &mut Env<'_>) -> Result<&'static Self> {
        CLASSES.get_or_try_init(|| Self::look_up(env))
    }

    /// What [`Classes::load`] found; `None` before the first server is started.
    pub(crate) fn loaded() -> Option<&'static Self> {
        CLASSES.get()
    }

    fn look_up(env: &mut Env<'_>) -> Result<Self> {
        let worker = global_class(env, jni_str!("org/httpkit/engine/Worker"))?;
        let application = global_class(env, jni_str!("org/httpkit/engine/Application"))?;
        Ok(Self {
            worker_new: env.get_method_id(&worker, jni_str!("<init>"), jni_sig!("(Ljava/nio/ByteBuffer;)V"))?,
            worker_buffer: env.get_method_id(&worker, jni_str!("buffer"), jni_sig!("(Ljava/nio/ByteBuffer;)V"))?,
            worker_number: env.get_method_id(&worker, jni_str!("number"), jni_sig!("()I"))?,
            worker_request: env.get_method_id(
                &worker,
                jni_str!("requestByJni"),
                jni_sig!("(Lorg/httpkit/engine/Application;JIII[B)I"),
            )?,
            worker_message: env.get_method_id(
                &worker,
                jni_str!("messageByJni"),
                jni_sig!("(Lorg/httpkit/engine/Application;JIIII[B)I"),
            )?,
            worker_lost: env.get_method_id(&worker, jni_str!("lost"), jni_sig!("(Lorg/httpkit/engine/Application;JIIIIZ)I"))?,
            websocket_closed: env.get_method_id(
                &application,
                jni_str!("webSocketClosed"),
                jni_sig!("(JIIILjava/lang/String;)V"),
            )?,
            application_number: env.get_method_id(&application, jni_str!("number"), jni_sig!("()I"))?,
            writable: env.get_method_id(&application, jni_str!("writable"), jni_sig!("(JI)V"))?,
            readable: env.get_method_id(&application, jni_str!("readable"), jni_sig!("(JI)V"))?,
            closed: env.get_method_id(&application, jni_str!("closed"), jni_sig!("(JII)V"))?,
            rejected: env.get_method_id(&application, jni_str!("rejected"), jni_sig!("(I)V"))?,
            accept_failed: env.get_method_id(&application, jni_str!("acceptFailed"), jni_sig!("(Ljava/lang/String;)V"))?,
            drained: env.get_method_id(&application, jni_str!("drained"), jni_sig!("()V"))?,
            invalid_response: env.get_method_id(
                &application,
                jni_str!("invalidResponse"),
                jni_sig!("(JILjava/lang/String;)V"),
            )?,
            no_memory: env.get_method_id(&application, jni_str!("noMemory"), jni_sig!("(JII)V"))?,
            worker,
            _application: application,
        })
    }
}

fn global_class(env: &mut Env<'_>, name: &JNIStr) -> Result<Global<JClass<'static>>> {
    let class = env.find_class(name)?;
    env.new_global_ref(class)
}
