//! The functions by which Java has the two frequent up-calls made, where its JVM can make functions (`UpCalls.java`): about a tenth of what
//! the same call costs through JNI.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use jni::sys::{jint, jlong};

/// `UpCalls.request`: worker, application, connection, exchange, length, route.
pub(crate) type RequestFunction = unsafe extern "C" fn(jint, jint, jlong, jint, jint, jint) -> jint;
/// `UpCalls.message`: worker, application, connection, exchange, kind, length, route.
pub(crate) type MessageFunction = unsafe extern "C" fn(jint, jint, jlong, jint, jint, jint, jint) -> jint;

/// What a function returns when the Java behind it threw: it has printed that.
pub(crate) const THROWN: jint = -1;

static REQUEST: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static MESSAGE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// In place of a worker: the function does nothing.
const TRIAL: jint = -1;
/// The JVM links a function at its first call, and customizes it at the 128th (`java.lang.invoke.MethodHandle.CUSTOMIZE_THRESHOLD`).
const TRIALS: usize = 500;

/// Has the functions at these addresses called from now on. They are tried out first: a JVM exits when it has no memory for what their
/// first calls allocate, and just now it had.
///
/// # Safety
/// They are functions of the types above that stay callable for as long as the process lives.
pub(crate) unsafe fn install(request: jlong, message: jlong) {
    let addresses = [request, message].map(|address| ptr::with_exposed_provenance_mut::<()>(address as usize));
    // SAFETY: the caller vouches for the addresses, and null, which a test may pass, is `None`.
    let functions = unsafe {
        (
            mem::transmute::<*mut (), Option<RequestFunction>>(addresses[0]),
            mem::transmute::<*mut (), Option<MessageFunction>>(addresses[1]),
        )
    };
    if let (Some(request), Some(message)) = functions {
        for _ in 0..TRIALS {
            // SAFETY: the arguments are those of the types; this is a thread of the JVM's, in a native method.
            let _ = unsafe { (request(TRIAL, 0, 0, 0, 0, 0), message(TRIAL, 0, 0, 0, 0, 0, 0)) };
        }
    }
    REQUEST.store(addresses[0], Ordering::Release);
    MESSAGE.store(addresses[1], Ordering::Release);
}

/// The function for requests, if there is one.
#[inline]
pub(crate) fn request() -> Option<RequestFunction> {
    let function = REQUEST.load(Ordering::Acquire);
    // SAFETY: null is `None`, and anything else a function of this type, as `install` requires.
    unsafe { mem::transmute::<*mut (), Option<RequestFunction>>(function) }
}

/// The function for messages, if there is one.
#[inline]
pub(crate) fn message() -> Option<MessageFunction> {
    let function = MESSAGE.load(Ordering::Acquire);
    // SAFETY: null is `None`, and anything else a function of this type, as `install` requires.
    unsafe { mem::transmute::<*mut (), Option<MessageFunction>>(function) }
}
