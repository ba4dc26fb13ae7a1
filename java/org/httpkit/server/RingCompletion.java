package org.httpkit.server;

import clojure.lang.AFunction;
import clojure.lang.IFn;
import clojure.lang.IPersistentMap;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The two callbacks of an asynchronous Ring handler. Whatever completes the request first counts; the rest is ignored.
 *
 * <p>They are functions to {@code fn?} as well, which a plain AFn is not.
 */
final class RingCompletion {
    private final AtomicBoolean completed = new AtomicBoolean();
    private final Responder responder;
    private final AsyncChannel channel;
    private final IPersistentMap request;

    RingCompletion(Responder responder, AsyncChannel channel, IPersistentMap request) {
        this.responder = responder;
        this.channel = channel;
        this.request = request;
    }

    /** Calls the handler with its request and callbacks. */
    void run(IFn handler) {
        try {
            handler.invoke(request, new Respond(), new Raise());
        } catch (Throwable failure) {
            fail(failure);
        }
    }

    private void fail(Throwable failure) {
        if (completed.compareAndSet(false, true)) {
            responder.fail(channel, failure, null);
            channel.handlerReturned();
        }
    }

    /** Serializable only by way of its class. */
    @SuppressWarnings("serial")
    private final class Respond extends AFunction {
        @Override
        public Object invoke(Object response) {
            if (completed.compareAndSet(false, true)) {
                responder.respond(channel, request, response, null);
                channel.handlerReturned();
            }
            return null;
        }
    }

    /** Likewise. */
    @SuppressWarnings("serial")
    private final class Raise extends AFunction {
        @Override
        public Object invoke(Object failure) {
            fail(failure instanceof Throwable
                ? (Throwable) failure
                : new ClassCastException("Ring async raise value must be a Throwable"));
            return null;
        }
    }
}
