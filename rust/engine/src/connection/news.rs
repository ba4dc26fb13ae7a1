//! What the application is told of a connection once its lock is free, and how its end is put off until it has been told.

use super::{Connection, Notices};
use crate::application::ExchangeId;
use crate::{registry, repetition};

impl Notices {
    pub(super) fn are_news(&self) -> bool {
        self.closed.is_some() || self.socket_end.is_some() || self.writable || self.readable
    }
}

impl Connection {
    /// Tells the application what it has not heard yet, again later if it cannot take that in, and then forgets a connection that has
    /// ended: whoever is told of the end may ask for the addresses.
    pub(super) fn tell(&self, id: ExchangeId, messages: u32, mut notices: Notices) {
        if self.try_tell(id, messages, &mut notices) {
            self.forget(&notices);
        } else if let Some(connection) = registry::get(self.id) {
            repetition::repeat(move |last| {
                let told = connection.try_tell(id, messages, &mut notices);
                if told || last {
                    connection.forget(&notices);
                }
                told
            });
        }
    }

    /// Takes out of the notices what the application has taken in. Returns true if nothing is left.
    fn try_tell(&self, id: ExchangeId, messages: u32, notices: &mut Notices) -> bool {
        let application = &self.server.application;
        // The application's pool may run what it does not take on the caller's thread.
        let _watch = notices.are_news().then(|| self.under_watch());
        notices.writable = notices.writable && !application.writable(id);
        notices.readable = notices.readable && !application.readable(id);
        notices.closed = notices.closed.filter(|cause| !application.closed(id, *cause));
        notices.socket_end = notices.socket_end.take().filter(|end| !application.websocket_closed(id, end, messages));
        !notices.are_news()
    }

    fn forget(&self, notices: &Notices) {
        if notices.ended {
            registry::remove(self.id);
            self.server.connection_ended();
        }
    }
}
