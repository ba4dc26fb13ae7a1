package org.httpkit.server;

import clojure.lang.IFn;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Map;
import org.httpkit.engine.Application;
import org.httpkit.engine.Keywords;
import org.httpkit.engine.Native;
import org.httpkit.engine.RequestReader;
import org.httpkit.engine.ResponseWriter;

/**
 * One exchange as its handler holds it: the {@code :async-channel} of a request, open for an answer now, in pieces, or later.
 *
 * <p>Fresh for every request, equal only to itself, safe to use from any thread. Users reach it through the {@code Channel} protocol
 * of {@code org.httpkit.server}. An ordinary response also passes through its state, so that no exchange is answered twice.
 */
public final class AsyncChannel {
    /** Nothing has been sent. */
    private static final int OPEN = 0;
    /** The head of an answer has been sent by {@code send!}; pieces follow. */
    private static final int STREAMING = 1;
    /** The handler has returned the answer. */
    static final int ANSWERED = 2;
    /** Ended by {@code send!} or {@code close}. */
    private static final int CLOSED = 3;
    /** The connection has gone. */
    private static final int LOST = 4;

    /** What became of data given to {@code send!}. */
    private static final int REFUSED = 0;
    private static final int SENT = 1;
    private static final int ENDED = 2;

    private static final byte[] NOTHING = {};
    private static final VarHandle STATE;
    private static final VarHandle CALLBACKS;

    static {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            STATE = lookup.findVarHandle(AsyncChannel.class, "state", int.class);
            CALLBACKS = lookup.findVarHandle(AsyncChannel.class, "callbacks", ChannelCallbacks.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final RingApplication application;
    private final long connection;
    private final int exchange;
    private final boolean head;
    private final boolean webSocket;
    private final String method;
    private final String uri;
    private volatile int state;
    /** Made when the first is set: most exchanges have none. */
    private volatile ChannelCallbacks callbacks;

    AsyncChannel(RingApplication application, long connection, int exchange, RequestReader request) {
        this.application = application;
        this.connection = connection;
        this.exchange = exchange;
        this.head = request.isHead();
        this.webSocket = request.isWebSocket();
        this.method = request.method();
        this.uri = request.uri();
    }

    long connection() {
        return connection;
    }

    int exchange() {
        return exchange;
    }

    boolean isHead() {
        return head;
    }

    /** Returns the method and target for log entries. */
    String requestLine() {
        return method + " " + uri;
    }

    /** Takes the right to answer, entering {@code next}. Returns false if somebody answered, or the client has gone. */
    boolean claim(int next) {
        boolean claimed = STATE.compareAndSet(this, OPEN, next);
        if (claimed && next == ANSWERED && callbacks != null) {
            application.unregister(this, new Watcher());
        }
        return claimed;
    }

    /** Gives the right to answer back after the engine refused the answer. */
    void unclaim(int claimed) {
        STATE.compareAndSet(this, claimed, OPEN);
    }

    /** Returns true unless an answer can still be given. */
    boolean isStarted() {
        return state != OPEN;
    }

    /** Returns true if an answer was given, or begun, through {@code send!} or {@code close}. */
    boolean isAnsweredThroughChannel() {
        int now = state;
        return now == STREAMING || now == CLOSED;
    }

    /** The handler returned this channel as its response: from now on news of the connection matter. */
    void hijack() {
        if (state == OPEN || state == STREAMING) {
            watch();
        }
    }

    /** Returns true if the channel has ended, whoever ended it. */
    public boolean isClosed() {
        return state >= ANSWERED;
    }

    /** Returns true if the request asked for an upgrade to WebSocket. */
    public boolean isWebSocket() {
        return webSocket;
    }

    /**
     * Sends data and, with {@code close}, ends the answer. Returns false if the channel has ended. Throws what is wrong with the data;
     * the channel is then as it was.
     */
    public boolean send(Object data, boolean close) throws IOException {
        int sent;
        synchronized (this) {
            sent = state == OPEN ? sendFirst(data, close) : sendMore(data, close);
        }
        if (sent == ENDED) {
            ended(CloseStatus.SERVER, CloseStatus.SERVER, "");
        }
        return sent != REFUSED;
    }

    /** Ends the channel. Returns false if it had ended before. */
    public boolean serverClose(int status) {
        return serverClose(status, "");
    }

    /** Ends the channel; a WebSocket with this code and reason. Returns false if it had ended before. */
    public boolean serverClose(int status, String reason) {
        synchronized (this) {
            if (STATE.compareAndSet(this, STREAMING, CLOSED)) {
                Native.send(connection, exchange, NOTHING, 0, 0, true);
            } else if (STATE.compareAndSet(this, OPEN, CLOSED)) {
                // Without a head there is nothing a client could make sense of.
                Native.abort(connection, exchange);
            } else {
                return false;
            }
        }
        ended(CloseStatus.SERVER, status, reason);
        return true;
    }

    /** Upgrades the connection to WebSocket with these response headers. */
    public void sendHandshake(Map<String, Object> headers) {
        throw new UnsupportedOperationException("WebSocket is not supported yet");
    }

    /** Sets the callback for WebSocket messages, which gets a String or a byte[]. */
    public void setReceiveHandler(IFn callback) {
        callbacks().setReceive(callback);
    }

    /** Sets the callback for WebSocket pings, which gets a byte[]. */
    public void setPingHandler(IFn callback) {
        callbacks().setPing(callback);
    }

    /** Sets the callback for WebSocket pongs, which gets a byte[]. */
    public void setPongHandler(IFn callback) {
        callbacks().setPong(callback);
    }

    /** Sets the callback for the end of the channel, which gets a keyword. It is called at once if the channel has ended. */
    public void setCloseHandler(IFn callback) {
        callbacks().setClose(callback);
        hijack();
    }

    /** Sets the callback for the end of the channel, which gets a close code and a reason. */
    public void setCloseRingHandler(IFn callback) {
        callbacks().setCloseRing(callback);
        hijack();
    }

    /** Returns true if a callback for the end of the channel is set. */
    public boolean hasCloseHandler() {
        ChannelCallbacks set = callbacks;
        return set != null && set.hasClose();
    }

    /** Returns the local and the client's address. */
    @Override
    public String toString() {
        return Native.localAddress(connection) + "<->" + Native.remoteAddress(connection);
    }

    private int sendFirst(Object data, boolean close) throws IOException {
        Object status = null;
        Object headers = null;
        Object body = data;
        if (data instanceof Map) {
            Map<?, ?> response = (Map<?, ?>) data;
            status = response.get(Keywords.STATUS);
            headers = response.get(Keywords.HEADERS);
            body = response.get(Keywords.BODY);
        }
        int code = ResponseWriter.status(status);
        if (close || head || webSocket || AnswerSender.hasNoBody(code)) {
            int sent = application.sender().answer(this, null, CLOSED, true, status, headers, body);
            return sent == AnswerSender.IGNORED ? REFUSED : ENDED;
        }
        if (!StreamSender.start(this, STREAMING, code, headers, body)) {
            return REFUSED;
        }
        watch();
        return SENT;
    }

    private int sendMore(Object data, boolean close) throws IOException {
        if (isClosed()) {
            return REFUSED;
        }
        if (!StreamSender.send(this, data instanceof Map ? ((Map<?, ?>) data).get(Keywords.BODY) : data, close)) {
            // The engine's news of the loss is on its way; on-close is its business.
            return REFUSED;
        }
        return close && STATE.compareAndSet(this, STREAMING, CLOSED) ? ENDED : SENT;
    }

    private void ended(int status, int code, String reason) {
        application.unregister(this, new Watcher());
        callbacks().closed(status, code, reason);
    }

    private ChannelCallbacks callbacks() {
        ChannelCallbacks set = callbacks;
        if (set == null) {
            CALLBACKS.compareAndSet(this, (ChannelCallbacks) null, new ChannelCallbacks());
            set = callbacks;
        }
        return set;
    }

    /** Hears of the connection's end from now on, also if it is in the past: the engine reports it only once. */
    private void watch() {
        Watcher watcher = new Watcher();
        if (!application.registerIfAbsent(this, watcher)) {
            return;
        }
        if (isClosed()) {
            application.unregister(this, watcher);
        } else if (!Native.watch(connection, exchange)) {
            watcher.closed(Application.CAUSE_CLIENT);
        }
    }

    /** Waits for the loss of the connection. Equal to the channel's other watchers, so that none needs to be kept. */
    private final class Watcher implements ExchangeListener {
        @Override
        public boolean equals(Object other) {
            return other instanceof Watcher && ((Watcher) other).channel() == channel();
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(channel());
        }

        private AsyncChannel channel() {
            return AsyncChannel.this;
        }

        @Override
        public void writable() {
            // send! does not wait for room.
        }

        @Override
        public void closed(int cause) {
            if (STATE.compareAndSet(AsyncChannel.this, OPEN, LOST)
                || STATE.compareAndSet(AsyncChannel.this, STREAMING, LOST)) {
                int status = cause == Application.CAUSE_SERVER ? CloseStatus.SERVER : CloseStatus.CLIENT;
                application.execute(() -> application.reportCloseErrors(() -> ended(status, status, "")));
            }
        }
    }
}
