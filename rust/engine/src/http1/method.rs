//! Request methods (RFC 9110 section 9, plus the WebDAV methods http-kit knows).

/// A request method. The discriminant is its index on the JNI wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Trace,
    Options,
    Connect,
    Patch,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Report,
    Acl,
    Move,
    Copy,
    Mkcol,
    List,
}

impl Method {
    /// The method of that exact spelling (methods are case-sensitive, RFC 9110 section 9.1).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Some(match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"TRACE" => Self::Trace,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"PATCH" => Self::Patch,
            b"PROPFIND" => Self::Propfind,
            b"PROPPATCH" => Self::Proppatch,
            b"LOCK" => Self::Lock,
            b"UNLOCK" => Self::Unlock,
            b"REPORT" => Self::Report,
            b"ACL" => Self::Acl,
            b"MOVE" => Self::Move,
            b"COPY" => Self::Copy,
            b"MKCOL" => Self::Mkcol,
            b"LIST" => Self::List,
            _ => return None,
        })
    }
}
