//! Why a WebSocket ended, as a number (RFC 6455 section 7.4).

/// A status code of a Close frame, or one of the codes that never travel and only say what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// A frame broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A Close frame came without a code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection was lost without a Close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A rule of the server's own was broken.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message above the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The server has no capacity for this.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// What a client may send: the codes the RFC and its registry define for the wire, and the ranges of libraries and
    /// applications. 1016 to 2999 are reserved for the protocol itself, which has not defined them.
    #[must_use]
    pub const fn may_be_received(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// What an application may send: http-kit lets it use 1016 to 2999 as well.
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 1016..=4999)
    }
}
