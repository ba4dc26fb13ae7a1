package org.httpkit.server;

import clojure.lang.AFn;
import clojure.lang.IFn;
import clojure.lang.IPersistentMap;
import java.util.concurrent.atomic.AtomicBoolean;

/** The two callbacks of an asynchronous Ring handler. Whatever completes the request first counts; the rest is ignored. */
final class RingCompletion {
    private final AtomicBoolean completed = new AtomicBoolean();
    private final Responder responder;
    private final AsyncChannel channel;

    RingCompletion(Responder responder, AsyncChannel channel) {
        this.responder = responder;
        this.channel = channel;
    }

    /** Calls the handler with its request and callbacks. */
    void run(IFn handler, IPersistentMap request) {
        try {
            handler.invoke(request, new Respond(), new Raise());
        } catch (Throwable failure) {
            fail(failure);
        }
    }

    private void fail(Throwable failure) {
        if (completed.compareAndSet(false, true)) {
            responder.fail(channel, failure, null);
        }
    }

    private final class Respond extends AFn {
        @Override
        public Object invoke(Object response) {
            if (completed.compareAndSet(false, true)) {
                responder.respond(channel, response, null);
            }
            return null;
        }
    }

    private final class Raise extends AFn {
        @Override
        public Object invoke(Object failure) {
            fail(failure instanceof Throwable
                ? (Throwable) failure
                : new ClassCastException("Ring async raise value must be a Throwable"));
            return null;
        }
    }
}
