package org.httpkit.server;

import clojure.lang.IPersistentMap;
import clojure.lang.PersistentArrayMap;
import java.util.Map;
import org.httpkit.engine.Keywords;
import org.httpkit.engine.Native;
import org.httpkit.engine.ResponseWriter;
import org.httpkit.engine.Worker;

/**
 * Decides how an exchange is answered: by what its handler returned, by an error, or by refusal, each with its log entry and event.
 *
 * <p>Never throws. The results are those of {@link AnswerSender}: the length of a block in the worker's buffer, or 0.
 */
final class Responder {
    private static final IPersistentMap PLAIN_TEXT =
        PersistentArrayMap.EMPTY.assoc("Content-Type", "text/plain; charset=utf-8");
    private static final Map<?, ?> NOT_FOUND = response(404, null);
    private static final Map<?, ?> FAILED = response(500, PLAIN_TEXT);
    private static final Map<?, ?> REFUSED = response(503, PLAIN_TEXT.assoc("Retry-After", "1"));

    private static final String FAILED_TEXT = "Internal Server Error";
    private static final String REFUSED_TEXT = "Server unavailable, please try again";

    private final AnswerSender sender;
    private final Telemetry telemetry;
    private final boolean exposeErrors;
    private final WebSocketResponse webSocketResponse;
    private final boolean ringSpec;

    Responder(AnswerSender sender, Telemetry telemetry, AnswerOptions options) {
        this.sender = sender;
        this.telemetry = telemetry;
        this.exposeErrors = options.exposeErrors;
        this.webSocketResponse = options.webSocketResponse;
        this.ringSpec = options.ringSpec;
    }

    /** Answers with what a handler returned. */
    int respond(AsyncChannel channel, Object request, Object result, Worker worker) {
        try {
            if (result == null) {
                if (ringSpec) {
                    throw new NullPointerException("Response map is nil");
                }
                int sent = sender.answer(channel, worker, AsyncChannel.ANSWERED, NOT_FOUND, null);
                return counted(channel, sent, telemetry.names().serverStatus404);
            }
            Map<?, ?> response = ResponseWriter.map("A response", result);
            if (webSocketResponse != null && webSocketResponse.isUpgrade(response)) {
                webSocketResponse.upgrade(channel, request, response);
                channel.hijack();
                return 0;
            }
            Object body = response.get(Keywords.BODY);
            if (body instanceof AsyncChannel) {
                ((AsyncChannel) body).hijack();
                return 0;
            }
            int sent = sender.answer(channel, worker, AsyncChannel.ANSWERED, response, body);
            return counted(channel, sent, telemetry.hasEvents() ? processedEvent(response) : null);
        } catch (Throwable failure) {
            return fail(channel, failure, worker);
        }
    }

    /**
     * Answers with 500, unless the handler sent something before it failed: its channel is then still the application's. Else the
     * channel has ended, and what it set to run at the end runs.
     */
    int fail(AsyncChannel channel, Throwable failure, Worker worker) {
        log(channel, failure);
        if (channel.isStarted()) {
            return 0;
        }
        Ending ending;
        try {
            ending = channel.failing();
        } catch (Throwable noMemory) {
            // Then the loss of its connection is its end.
            Native.abort(channel.connection(), channel.exchange());
            return 0;
        }
        String text = exposeErrors ? message(failure) : FAILED_TEXT;
        int sent = lastResort(channel, worker, FAILED, text, telemetry.names().serverStatus500);
        channel.endFailed(ending);
        return sent;
    }

    private void log(AsyncChannel channel, Throwable failure) {
        try {
            telemetry.error(channel.requestLine(), failure);
        } catch (Throwable noMemory) {
            // For a line of the log. The client waits.
        }
    }

    /** Returns the exception's message; that it has none to give is no reason to leave the client without an answer. */
    private static String message(Throwable failure) {
        try {
            return failure.getMessage();
        } catch (Throwable another) {
            return failure.getClass().getName();
        }
    }

    /** Closes the body of a response that is ignored, if it is a stream. */
    void discard(Object body) {
        sender.discard(body);
    }

    /** Answers with 503: the pool takes no more requests. */
    int refuse(AsyncChannel channel, Throwable rejection, Worker worker) {
        telemetry.countRefused();
        telemetry.error("failed to submit task to executor service", rejection);
        return lastResort(channel, worker, REFUSED, REFUSED_TEXT, telemetry.names().serverStatus503);
    }

    /** Answers with 500 an exchange of which only the handle is known: the engine refused the answer made for it. */
    void replaceInvalid(long connection, int exchange, String message) {
        telemetry.error("invalid response", new IllegalArgumentException(message));
        answerUnknown(connection, exchange, FAILED, exposeErrors ? message : FAILED_TEXT);
        telemetry.event(telemetry.names().serverStatus500);
    }

    /** Answers with 503 an exchange of which only the handle is known: there was no memory for its body. */
    void refuseBody(long connection, int exchange, int length) {
        telemetry.error("no memory for a request body of " + length + " bytes", new OutOfMemoryError("No array for a request body"));
        answerUnknown(connection, exchange, REFUSED, REFUSED_TEXT);
        telemetry.event(telemetry.names().serverStatus503);
    }

    private static void answerUnknown(long connection, int exchange, Map<?, ?> response, String text) {
        ResponseWriter writer = ResponseWriter.acquire();
        try {
            writer.head(ResponseWriter.status(response.get(Keywords.STATUS)), response.get(Keywords.HEADERS));
            writer.body(text);
            Native.respond(connection, exchange, writer.block(), writer.length());
        } finally {
            writer.release();
        }
    }

    private String processedEvent(Map<?, ?> response) {
        return telemetry.names().serverStatusPrefix + ResponseWriter.status(response.get(Keywords.STATUS));
    }

    private static Map<?, ?> response(long status, IPersistentMap headers) {
        return new PersistentArrayMap(new Object[] {Keywords.STATUS, status, Keywords.HEADERS, headers});
    }

    private int lastResort(AsyncChannel channel, Worker worker, Map<?, ?> response, String text, String event) {
        try {
            return counted(channel, sender.answer(channel, worker, AsyncChannel.ANSWERED, response, text), event);
        } catch (Throwable failure) {
            Native.abort(channel.connection(), channel.exchange());
            log(channel, failure);
            return 0;
        }
    }

    private int counted(AsyncChannel channel, int sent, String event) {
        if (sent == AnswerSender.IGNORED) {
            if (channel.isAnsweredThroughChannel()) {
                String message = "Response ignored: " + channel.requestLine() + " was answered through its channel";
                telemetry.warn(message, new IllegalStateException(message));
            }
            return 0;
        }
        if (sent == AnswerSender.BEGUN) {
            return 0;
        }
        if (event != null) {
            telemetry.event(event);
        }
        return sent;
    }
}
