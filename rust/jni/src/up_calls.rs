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

/// Has the functions at these addresses called from now on.
///
/// # Safety
/// They are functions of the types above that stay callable for as long as the process lives.
pub(crate) unsafe fn install(request: jlong, message: jlong) {
    REQUEST.store(ptr::with_exposed_provenance_mut(request as usize), Ordering::Release);
    MESSAGE.store(ptr::with_exposed_provenance_mut(message as usize), Ordering::Release);
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
