package org.httpkit.server;

import clojure.lang.AFunction;
import clojure.lang.IFn;
import clojure.lang.IPersistentMap;
import java.io.InputStream;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.httpkit.engine.Keywords;

/**
 * The two callbacks of an asynchronous Ring handler. Whatever completes the request first counts; the rest is ignored, but for closing
 * its streams.
 *
 * <p>They are functions to {@code fn?} as well, which a plain AFn is not.
 */
final class RingCompletion {
    /** In place of a body that is no stream. */
    private static final Object NO_STREAM = new Object();

    /** Null until the request is completed; then the stream of its response, which somebody may respond with again. */
    private final AtomicReference<Object> completed = new AtomicReference<>();
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
        if (completed.compareAndSet(null, NO_STREAM)) {
            responder.fail(channel, failure, null);
            channel.handlerReturned();
        }
    }

    private static Object stream(Object response) {
        try {
            Object body = response instanceof Map ? ((Map<?, ?>) response).get(Keywords.BODY) : null;
            return body instanceof InputStream ? body : NO_STREAM;
        } catch (RuntimeException failure) {
            // A map that does not take keywords: what comes of that is for the responder to say.
            return NO_STREAM;
        }
    }

    /** Serializable only by way of its class. */
    @SuppressWarnings("serial")
    private final class Respond extends AFunction {
        @Override
        public Object invoke(Object response) {
            Object stream = stream(response);
            if (completed.compareAndSet(null, stream)) {
                responder.respond(channel, request, response, null);
                channel.handlerReturned();
            } else if (completed.get() != stream) {
                responder.discard(stream);
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
