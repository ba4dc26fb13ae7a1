//! The Java virtual machine this library was loaded into, and the attachment of native threads to it.
//!
//! The `jni` crate keeps the JavaVM pointer as a process-wide singleton from the first native call on, but offers only
//! non-daemon attachment, with which an idle runtime thread would keep a finished JVM alive; hence the raw calls here.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use jni::errors::{Error, JniError, Result};
use jni::{Env, JavaVM, sys};

/// `RTLD_DEFAULT`: whatever the program has loaded.
const LOADED: *mut c_void =
    if cfg!(target_os = "macos") { ptr::without_provenance_mut(-2_isize as usize) } else { ptr::null_mut() };
const DEFAULT_ARGUMENTS: &CStr = c"JNI_GetDefaultJavaVMInitArgs";

unsafe extern "C" {
    /// POSIX.
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// `JDK1_1InitArgs` of JNI 1.1, as far as the stack's size, and room for what follows it.
#[repr(C)]
#[derive(Default)]
struct DefaultArguments {
    version: sys::jint,
    properties: usize,
    check_source: sys::jint,
    native_stack_size: sys::jint,
    java_stack_size: sys::jint,
    rest: [usize; 32],
}

/// The size that the JVM gives the stacks of its threads (`-Xss`), if it says so.
///
/// The function is of the Invocation API; what it says of the stack of a JVM that has been started HotSpot keeps for its own launcher
/// (`java.c`, for the main thread). To make a thread and measure its stack would take system calls that no crate here has, and HotSpot's
/// management bean the loading of `java.management`.
pub(crate) fn thread_stack_size() -> Option<usize> {
    type Function = unsafe extern "system" fn(*mut DefaultArguments) -> sys::jint;
    // SAFETY: the name is a C string. The function of that name is the JVM's, with the signature that the JNI specification gives it.
    let function: Option<Function> = unsafe { std::mem::transmute(dlsym(LOADED, DEFAULT_ARGUMENTS.as_ptr())) };
    let mut arguments = DefaultArguments { version: sys::JNI_VERSION_1_1, ..DefaultArguments::default() };
    // SAFETY: the argument is writable, and larger than the structure of any version. The launcher ignores the result as well: this
    // version is no longer supported.
    unsafe { function?(&raw mut arguments) };
    usize::try_from(arguments.java_stack_size).ok().filter(|bytes| *bytes > 0)
}

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
