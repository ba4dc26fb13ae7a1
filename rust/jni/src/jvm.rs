//! The Java virtual machine this library was loaded into, and the attachment of native threads to it.
//!
//! The `jni` crate keeps the JavaVM pointer as a process-wide singleton from the first native call on, but offers only
//! non-daemon attachment, with which an idle runtime thread would keep a finished JVM alive; hence the raw calls here.

use std::ffi::CString;
use std::ptr;

use jni::errors::{Error, JniError, Result};
use jni::{Env, JavaVM, sys};

/// Attaches the current thread as a daemon under its own name and returns its environment. The caller owes a [`detach`].
pub(crate) fn attach_as_daemon() -> Result<*mut sys::JNIEnv> {
    let vm = JavaVM::singleton()?.get_raw();
    let thread = std::thread::current();
    // A Rust thread name holds no NUL, and is ASCII here, so it is modified UTF-8 as well.
    let name = CString::new(thread.name().unwrap_or("httpkit")).unwrap_or_default();
    let mut arguments =
        sys::JavaVMAttachArgs { version: sys::JNI_VERSION_1_8, name: name.as_ptr().cast_mut(), group: ptr::null_mut() };
    let mut environment = ptr::null_mut();
    // SAFETY: `vm` is the live JavaVM; its table has AttachCurrentThreadAsDaemon since JNI 1.4. The JVM copies the name.
    let code = unsafe { ((**vm).v1_4.AttachCurrentThreadAsDaemon)(vm, &raw mut environment, (&raw mut arguments).cast()) };
    if code == sys::JNI_OK { Ok(environment.cast()) } else { Err(Error::JniCall(JniError::Other(code))) }
}

/// Ends the attachment made by [`attach_as_daemon`].
pub(crate) fn detach() {
    let Ok(vm) = JavaVM::singleton() else { return };
    let vm = vm.get_raw();
    // SAFETY: `vm` is the live JavaVM, and no Java frame or `Env` of this thread is left: the runtime calls its stop
    // hook as the last thing on the thread. A failure means the thread is not attached, which is what is wanted.
    unsafe { ((**vm).v1_1.DetachCurrentThread)(vm) };
}

/// Calls `action` with the environment of the current thread and a local frame of its own. A thread that is not
/// attached (no runtime thread and no Java thread) gets an attachment for the duration of the call.
pub(crate) fn with_env<R>(action: impl FnOnce(&mut Env<'_>) -> Result<R>) -> Result<R> {
    JavaVM::singleton()?.attach_current_thread_for_scope(action)
}

/// Prints the pending exception with its stack trace on standard error and clears it.
pub(crate) fn describe_and_clear(env: &Env<'_>) {
    if env.exception_check() {
        env.exception_describe();
        env.exception_clear();
    }
}
