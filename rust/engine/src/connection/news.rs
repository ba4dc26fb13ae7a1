//! What the application is told of a connection once its lock is free, and how it is kept until it has been told.

use std::sync::atomic::Ordering;

use super::{Connection, Notices};
use crate::application::ExchangeId;
use crate::{registry, repetition};

impl Notices {
    pub(super) fn are_news(&self) -> bool {
        self.closed.is_some() || self.socket_end.is_some() || self.writable || self.readable
    }
}

impl Connection {
    /// Keeps the connection from being forgotten, until [`Connection::let_go`]. Called under its lock, or another thread may let it go first.
    pub(super) fn keep_for_news(&self) {
        self.keepers.fetch_add(1, Ordering::Relaxed);
    }

    /// The connection has ended, or the application has heard a piece of news. When it is the last of these it is forgotten: whoever is told
    /// of the end may ask for the addresses.
    pub(super) fn let_go(&self) {
        if self.keepers.fetch_sub(1, Ordering::AcqRel) == 1 {
            registry::remove(self.id);
            self.server.connection_ended();
        }
    }

    /// Tells the application what it has not heard yet, again later if it cannot take that in; the connection has been kept for it.
    pub(super) fn tell(&self, id: ExchangeId, messages: u32, mut notices: Notices) {
        if self.try_tell(id, messages, &mut notices) {
            self.let_go();
        } else if let Some(connection) = registry::get(self.id) {
            repetition::repeat(move |last| {
                let told = connection.try_tell(id, messages, &mut notices);
                if told || last {
                    connection.let_go();
                }
                told
            });
        }
    }

    /// Takes out of the notices what the application has taken in. Returns true if nothing is left.
    fn try_tell(&self, id: ExchangeId, messages: u32, notices: &mut Notices) -> bool {
        let application = &self.server.application;
        // The application's pool may run what it does not take on the caller's thread.
        let _watch = self.under_watch();
        notices.writable = notices.writable && !application.writable(id);
        notices.readable = notices.readable && !application.readable(id);
        notices.closed = notices.closed.filter(|cause| !application.closed(id, *cause));
        notices.socket_end = notices.socket_end.take().filter(|end| !application.websocket_closed(id, end, messages));
        !notices.are_news()
    }
}
