//! Failures of an export, and the Java exceptions they become.

use std::any::Any;
use std::fmt;
use std::io::{self, Write};

use httpkit_engine::websocket::{ControlTooLong, InvalidClose};
use httpkit_engine::{InvalidHead, StartError};
use jni::Env;
use jni::errors::{Error, ErrorPolicy, JniError, Result};
use jni::jni_str;
use jni::strings::{JNIStr, JNIString};

use crate::wire::Malformed;

/// Why an export cannot do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A call into the JVM failed.
    Jni(Error),
    /// An argument breaks the wire format.
    Malformed(Malformed),
    /// The engine refused the head of a response.
    InvalidHead(InvalidHead),
    /// A control frame or Close frame that must not be sent.
    InvalidFrame(String),
    /// The server could not be started.
    Start(StartError),
    /// The file of a response could not be opened.
    File { path: String, error: io::Error },
    /// A request's body that will not go on.
    BodyLost,
    /// The server id is not, or no longer, in use.
    NoServer,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Jni(error)
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<InvalidHead> for Failure {
    fn from(invalid: InvalidHead) -> Self {
        Self::InvalidHead(invalid)
    }
}

impl From<ControlTooLong> for Failure {
    fn from(invalid: ControlTooLong) -> Self {
        Self::InvalidFrame(invalid.to_string())
    }
}

impl From<InvalidClose> for Failure {
    fn from(invalid: InvalidClose) -> Self {
        Self::InvalidFrame(invalid.to_string())
    }
}

impl Failure {
    /// The class and message of the exception to throw.
    fn exception(&self) -> (&'static JNIStr, String) {
        match self {
            Self::Jni(error) => (jni_error_class(error), error.to_string()),
            Self::Malformed(Malformed(text)) => (jni_str!("java/lang/IllegalArgumentException"), (*text).to_owned()),
            Self::InvalidHead(invalid) => (jni_str!("java/lang/IllegalArgumentException"), invalid.to_string()),
            Self::InvalidFrame(text) => (jni_str!("java/lang/IllegalArgumentException"), text.clone()),
            Self::Start(StartError { address, source }) => {
                (start_error_class(source), format!("{}: {address}", system_text(source)))
            }
            // java.io.FileInputStream throws this class with this text whatever keeps it from opening.
            Self::File { path, error } => (jni_str!("java/io/FileNotFoundException"), format!("{path} ({})", system_text(error))),
            Self::BodyLost => (
                jni_str!("java/io/IOException"),
                "the request body ends here: the client has gone, it was refused, or the request has been answered".to_owned(),
            ),
            Self::NoServer => (jni_str!("java/lang/IllegalStateException"), "the server is closed".to_owned()),
        }
    }
}

/// The JDK's mapping: an address in use, not of this machine or not permitted is a BindException.
fn start_error_class(error: &io::Error) -> &'static JNIStr {
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied => {
            jni_str!("java/net/BindException")
        }
        _ => jni_str!("java/io/IOException"),
    }
}

fn jni_error_class(error: &Error) -> &'static JNIStr {
    match error {
        Error::NullPtr(_) => jni_str!("java/lang/NullPointerException"),
        Error::IndexOutOfBounds => jni_str!("java/lang/ArrayIndexOutOfBoundsException"),
        Error::NoClassDefFound { .. } => jni_str!("java/lang/NoClassDefFoundError"),
        Error::MethodNotFound { .. } => jni_str!("java/lang/NoSuchMethodError"),
        Error::JniCall(JniError::NoMemory) => jni_str!("java/lang/OutOfMemoryError"),
        _ => jni_str!("java/lang/InternalError"),
    }
}

/// The system's words alone, which is what Java prints: std appends " (os error 98)".
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Throws the exception of a [`Failure`], or an `InternalError` for a panic, and returns a default value.
#[derive(Debug)]
pub(crate) struct ThrowException;

impl<T: Default> ErrorPolicy<T, Failure> for ThrowException {
    type Captures<'unowned_env_local: 'native_method, 'native_method> = ();

    fn on_error<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        failure: Failure,
    ) -> Result<T> {
        let (class, message) = failure.exception();
        throw(env, class, &message);
        Ok(T::default())
    }

    fn on_panic<'unowned_env_local: 'native_method, 'native_method>(
        env: &mut Env<'unowned_env_local>,
        (): &mut (),
        payload: Box<dyn Any + Send>,
    ) -> Result<T> {
        throw(env, jni_str!("java/lang/InternalError"), &format!("httpkit panicked: {}", panic_text(payload.as_ref())));
        // A payload's destructor may panic as well; panics are bugs, so the leak is not a growth.
        std::mem::forget(payload);
        Ok(T::default())
    }
}

/// The message of a panic.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn throw(env: &mut Env<'_>, class: &JNIStr, message: &str) {
    // An exception that is already pending says more than ours. `throw_new` answers success with an error, so that
    // `?` would leave the native method; this is its last act anyway.
    if !env.exception_check() {
        let _ = env.throw_new(class, JNIString::from(message));
    }
}

/// Writes a line on standard error. Unlike `eprintln!` it does not panic when the reader of a pipe has gone.
pub(crate) fn report(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "httpkit: {message}");
}

#[cfg(test)]
mod tests {
    use std::io;

    use httpkit_engine::{InvalidHead, StartError};
    use jni::errors::{Error, JniError};
    use jni::jni_str;

    use super::{Failure, panic_text};
    use crate::wire::Malformed;

    fn exception(failure: &Failure) -> (String, String) {
        let (class, message) = failure.exception();
        (class.to_string(), message)
    }

    fn start(kind: io::ErrorKind) -> String {
        let failure = Failure::Start(StartError { address: "0.0.0.0:80".to_owned(), source: kind.into() });
        exception(&failure).0
    }

    #[test]
    fn refused_heads_have_the_texts_of_http_kit() {
        let table = [
            (InvalidHead::Status(99), "Invalid HTTP status code: 99"),
            (InvalidHead::HeaderName(b"a b\xE9".to_vec()), "Invalid HTTP header name: a b\u{FFFD}"),
            (InvalidHead::HeaderValue, "Invalid character in HTTP header value"),
        ];
        for (invalid, text) in table {
            let expected = ("java/lang/IllegalArgumentException".to_owned(), text.to_owned());
            assert_eq!(exception(&invalid.into()), expected);
        }
        assert_eq!(exception(&Malformed("text").into()).1, "text");
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_a_bind_exception() {
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::AddrNotAvailable, io::ErrorKind::PermissionDenied] {
            assert_eq!(start(kind), "java/net/BindException");
        }
        assert_eq!(start(io::ErrorKind::OutOfMemory), "java/io/IOException");
    }

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        // ENOENT and its text are the same on every Unix.
        let error = io::Error::from_raw_os_error(2);
        let expected = ("java/io/FileNotFoundException".to_owned(), "/x (No such file or directory)".to_owned());
        if cfg!(unix) {
            assert_eq!(exception(&Failure::File { path: "/x".to_owned(), error }), expected);
        }
    }

    #[test]
    fn jni_failures_become_the_exceptions_java_would_throw() {
        let table = [
            (Error::NullPtr("block"), jni_str!("java/lang/NullPointerException")),
            (Error::IndexOutOfBounds, jni_str!("java/lang/ArrayIndexOutOfBoundsException")),
            (Error::JniCall(JniError::NoMemory), jni_str!("java/lang/OutOfMemoryError")),
            (Error::JniCall(JniError::Unknown), jni_str!("java/lang/InternalError")),
        ];
        for (error, class) in table {
            assert_eq!(Failure::from(error).exception().0.to_string(), class.to_string());
        }
        assert_eq!(exception(&Failure::NoServer).0, "java/lang/IllegalStateException");
    }

    #[test]
    fn a_panic_without_a_text_has_a_text() {
        assert_eq!(panic_text(&"static"), "static");
        assert_eq!(panic_text(&String::from("owned")), "owned");
        assert_eq!(panic_text(&7), "no message");
    }
}
