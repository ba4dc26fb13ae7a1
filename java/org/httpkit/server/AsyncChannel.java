package org.httpkit.server;

import clojure.lang.IFn;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
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
public final class AsyncChannel extends BackpressuredChannel {
    /** Nothing has been sent. */
    private static final int OPEN = 0;
    /** The head of an answer has been sent by {@code send!}; pieces follow. */
    private static final int STREAMING = 1;
    /** An upgrade is on its way to the engine, under the lock. */
    private static final int UPGRADING = 2;
    /** It is a WebSocket. */
    private static final int UPGRADED = 3;
    /** The handler has returned the answer. */
    static final int ANSWERED = 4;
    /** Ended by {@code send!} or {@code close}. */
    private static final int CLOSED = 5;
    /** The connection has gone, or the client has closed its WebSocket. */
    private static final int LOST = 6;

    /** Beside the engine's answers: the data have been sent, and the channel has ended with them. */
    private static final int ENDED = 3;
    /** In place of an engine's answer: nothing was sent, because it is a WebSocket. */
    private static final int IS_UPGRADED = -1;

    private static final int SWITCHING_PROTOCOLS = 101;

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
    private final boolean head;
    private final boolean upgradeAsked;
    private final String method;
    /** Null once nothing is left to be logged with it. */
    private String uri;
    private volatile int state;
    /** Made when the first is set: most exchanges have none. */
    private volatile ChannelCallbacks callbacks;
    /** Made with the handshake. */
    private volatile WebSocket webSocket;
    /** Made before that is sent which ends the channel. Changes under the lock. */
    private Ending sentEnding;
    private volatile boolean handlerReturned;
    /** The time the handler's thread has spent sending a file, which says nothing about the handler. */
    long fileNanos;

    AsyncChannel(RingApplication application, long connection, int exchange, RequestReader request) {
        super(connection, exchange);
        this.application = application;
        this.head = request.isHead();
        this.upgradeAsked = request.isWebSocket();
        this.method = request.method();
        this.uri = request.uri();
    }

    @Override
    RingApplication application() {
        return application;
    }

    /** Returns true for a HEAD request: its answer ends with its head. */
    public boolean isHead() {
        return head;
    }

    /** Logs to the server's {@code :warn-logger}; {@code failure} may be null. */
    public void warn(String message, Throwable failure) {
        application.telemetry().warn(message, failure);
    }

    /** Returns the method and target for log entries. */
    String requestLine() {
        return method + " " + uri;
    }

    /** Takes the right to answer, entering {@code next}. Returns false if somebody answered, or the client has gone. */
    boolean claim(int next) {
        boolean claimed = STATE.compareAndSet(this, OPEN, next);
        if (claimed && next == ANSWERED && callbacks != null) {
            application.unwatch(this);
        }
        return claimed;
    }

    /** Gives the right to answer back after the engine refused the answer. The client may have left meanwhile, and nobody listened. */
    void unclaim(int claimed) {
        if (STATE.compareAndSet(this, claimed, OPEN) && hasCloseHandler()) {
            watch();
        }
    }

    /** Returns true unless an answer can still be given. */
    boolean isStarted() {
        return state != OPEN;
    }

    /** Returns true if an answer was given, or begun, through {@code send!}, {@code close} or a handshake. */
    boolean isAnsweredThroughChannel() {
        int now = state;
        return now != OPEN && now != ANSWERED && now != LOST;
    }

    /** The handler returned this channel as its response: from now on news of the connection matter. */
    void hijack() {
        if (state == OPEN || state == STREAMING) {
            watch();
        }
    }

    /** The handler has returned: nobody is left to set the callbacks that the client's first messages wait for. */
    void handlerReturned() {
        if (upgradeAsked) {
            handlerReturned = true;
            openQueue();
            if (state == UPGRADED) {
                // It may be open for days.
                uri = null;
            }
        }
    }

    @Override
    public boolean isClosed() {
        return state >= ANSWERED;
    }

    /** Returns true if the request asked for an upgrade to WebSocket. */
    public boolean isWebSocket() {
        return upgradeAsked;
    }

    @Override
    public boolean serverClose(int status) {
        return serverClose(status, "");
    }

    /**
     * Ends the channel; a WebSocket with this code and reason, nil for none. Returns false if it had ended before. A code that no Close
     * frame may carry, or a reason of more than 123 bytes, is an IllegalArgumentException and changes nothing.
     */
    public boolean serverClose(int status, String reason) {
        if (isClosed()) {
            return false;
        }
        Ending ending;
        synchronized (this) {
            ending = ending(CloseStatus.SERVER, status, reason);
            if (STATE.compareAndSet(this, STREAMING, CLOSED)) {
                Native.send(connection(), exchange(), NOTHING, 0, 0, true);
            } else if (STATE.compareAndSet(this, OPEN, CLOSED)) {
                // Without a head there is nothing a client could make sense of.
                Native.abort(connection(), exchange());
            } else if (state != UPGRADED || !closeWebSocket(status, reason)) {
                return false;
            }
        }
        ended(ending);
        return true;
    }

    /** Cuts a stream, so that the client cannot take it for a complete one. Returns false if there is none under way. */
    public boolean abort() {
        if (isClosed()) {
            return false;
        }
        Ending ending = ending(CloseStatus.SERVER, CloseStatus.SERVER, "");
        synchronized (this) {
            if (!STATE.compareAndSet(this, STREAMING, CLOSED)) {
                return false;
            }
            Native.abort(connection(), exchange());
        }
        release(false);
        if (callbacks().end(ending)) {
            ending.call();
        }
        return true;
    }

    /** Upgrades the connection to WebSocket with these response headers. */
    public void sendHandshake(Map<String, Object> headers) {
        sendHandshake(headers, UpgradeOptions.DEFAULT);
    }

    /**
     * Upgrades the connection to WebSocket with these response headers. Returns false, and has done nothing, if the channel has been
     * answered or the client has gone.
     */
    public boolean sendHandshake(Map<String, Object> headers, UpgradeOptions options) {
        ResponseWriter writer = ResponseWriter.acquire();
        try {
            writer.head(SWITCHING_PROTOCOLS, headers);
            writer.finishHead();
            synchronized (this) {
                return claim(UPGRADING) && upgrade(writer, options);
            }
        } finally {
            writer.release();
        }
    }

    /** Sets the callback for WebSocket messages, which gets a String or a byte[]. */
    public void setReceiveHandler(IFn callback) {
        callbacks().setReceive(callback);
        openQueue();
    }

    /** Sets the callback for WebSocket pings, which gets a byte[]. The pong has been sent, unless {@link UpgradeOptions} say otherwise. */
    public void setPingHandler(IFn callback) {
        callbacks().setPing(callback);
    }

    /** Sets the callback for WebSocket pongs, which gets a byte[]. */
    public void setPongHandler(IFn callback) {
        callbacks().setPong(callback);
    }

    /**
     * Sets the callback for what goes wrong, which gets a Throwable: what a message callback threw, which is then not logged, or before the
     * close callbacks a {@link ProtocolException}.
     */
    public void setErrorHandler(IFn callback) {
        callbacks().setError(callback);
    }

    /** Sets the callback for the end of the channel, which gets a keyword. It is called at once if the channel has ended. */
    public void setCloseHandler(IFn callback) {
        endAnswered();
        callbacks().setClose(callback);
        hijack();
    }

    /** Sets the callback for the end of the channel, which gets a close code and a reason. */
    public void setCloseRingHandler(IFn callback) {
        endAnswered();
        callbacks().setCloseRing(callback);
        hijack();
    }

    /** Returns true if a callback for the end of the channel is set. */
    public boolean hasCloseHandler() {
        ChannelCallbacks set = callbacks;
        return set != null && set.hasClose();
    }

    /** Returns the local and the client's address; after the end only if a close callback was set. */
    @Override
    public String toString() {
        return ChannelCallbacks.addresses(callbacks, this);
    }

    ChannelCallbacks callbacks() {
        ChannelCallbacks set = callbacks;
        if (set == null) {
            CALLBACKS.compareAndSet(this, (ChannelCallbacks) null, new ChannelCallbacks());
            set = callbacks;
        }
        return set;
    }

    /** The connection has gone before the answer was complete. If this throws it can be said again. */
    void lose(int cause) {
        for (int now = state; now == OPEN || now == STREAMING; now = state) {
            // A client that asked for a WebSocket has left one, whether its handshake was answered or not.
            int lost = now == OPEN && upgradeAsked ? CloseStatus.GOING_AWAY : CloseStatus.CLIENT;
            int status = cause == Application.CAUSE_SERVER ? CloseStatus.SERVER : lost;
            Ending ending = ending(status, CloseStatus.GOING_AWAY, "");
            if (STATE.compareAndSet(this, now, LOST)) {
                release(false);
                oweCallbacks(ending);
            }
        }
    }

    /** The WebSocket's connection has gone. Returns false if the channel had ended. */
    boolean loseWebSocket() {
        if (!leaveWebSocket(LOST)) {
            return false;
        }
        release(false);
        return true;
    }

    /** Closes the WebSocket from this side; {@link #ended} is to follow. Returns false if it had ended. */
    boolean closeWebSocket(int code, String reason) {
        return webSocket.close(code, reason) && leaveWebSocket(CLOSED);
    }

    /** Returns the end to come, for which nothing more is to be allocated: without the memory for it the channel does not end. */
    Ending ending(int status, int code, String reason) {
        ChannelCallbacks.keepAddresses(callbacks(), this);
        return new Ending(application, webSocket, status, code, reason == null ? "" : reason, null);
    }

    /** Tells everybody that this side has ended the channel. */
    private void ended(Ending ending) {
        releaseEnded();
        if (!callbacks().end(ending)) {
            return;
        }
        if (ending.place == null) {
            ending.call();
        } else {
            ending.owe();
        }
    }

    /** As this side's own end, on a thread that must not run its callbacks: it may be one of the engine's. */
    void endedElsewhere(Ending ending) {
        releaseEnded();
        oweCallbacks(ending);
    }

    private void releaseEnded() {
        // What was sent before the end is before it on its way to the client.
        release(true);
        application.unregister(webSocket);
    }

    void oweCallbacks(Ending ending) {
        if (callbacks().end(ending)) {
            ending.owe();
        }
    }

    /** Returns what {@link #endFailed} takes, before the answer. */
    Ending failing() {
        return ending(CloseStatus.SERVER, CloseStatus.NORMAL, "");
    }

    /** The answer was the failure of the handler: what that had set to run at the end is owed. */
    void endFailed(Ending ending) {
        if (state != LOST) {
            oweCallbacks(ending);
        }
    }

    /** After an ordinary answer callbacks are called at once, and for those set before nothing is left to do. */
    private void endAnswered() {
        if (state == ANSWERED) {
            callbacks().end(failing());
        }
    }

    private void release(boolean delivers) {
        application.unwatch(this);
        closeWindow(delivers);
    }

    /** The state may still become UPGRADED on the thread that sends the handshake. */
    private boolean leaveWebSocket(int next) {
        return STATE.compareAndSet(this, UPGRADED, next)
            || STATE.compareAndSet(this, UPGRADING, next)
            || STATE.compareAndSet(this, UPGRADED, next);
    }

    @Override
    boolean isUpgraded() {
        return state == UPGRADED;
    }

    /** Returns the engine's answer, or ENDED. */
    @Override
    int transmit(Object data, boolean close) throws IOException {
        int sent = state == UPGRADED ? IS_UPGRADED : transmitHttp(data, close);
        if (sent == ENDED) {
            ended(sentEnding);
        }
        if (sent != IS_UPGRADED) {
            return sent;
        }
        sent = MessageSender.send(this, data);
        if (close && sent != Native.NOT_OPEN) {
            serverClose(CloseStatus.NORMAL);
            return ENDED;
        }
        return sent;
    }

    private void prepareEnding() {
        sentEnding = ending(CloseStatus.SERVER, CloseStatus.SERVER, "");
    }

    private synchronized int transmitHttp(Object data, boolean close) throws IOException {
        // An upgrade that was under way is complete once the lock is free.
        if (state == UPGRADED) {
            return IS_UPGRADED;
        }
        return state == OPEN ? sendFirst(data, close) : sendMore(data, close);
    }

    private int sendFirst(Object data, boolean close) throws IOException {
        Map<?, ?> response = data instanceof Map ? (Map<?, ?>) data : null;
        Object body = response == null ? data : response.get(Keywords.BODY);
        int code = ResponseWriter.status(response == null ? null : response.get(Keywords.STATUS));
        if (close || head || upgradeAsked || AnswerSender.hasNoBody(code)) {
            prepareEnding();
            int sent = application.sender().answer(this, null, CLOSED, response, body);
            return sent == AnswerSender.IGNORED ? Native.NOT_OPEN : ENDED;
        }
        ByteBuffer content = StreamSender.content(body);
        if (!StreamSender.start(this, STREAMING, code, response == null ? null : response.get(Keywords.HEADERS))) {
            return Native.NOT_OPEN;
        }
        // Before the body: it may fill the window, and nobody would hear of the room that follows.
        watch();
        return StreamSender.send(this, content, false);
    }

    private int sendMore(Object data, boolean close) throws IOException {
        if (isClosed()) {
            return Native.NOT_OPEN;
        }
        Object body = data instanceof Map ? ((Map<?, ?>) data).get(Keywords.BODY) : data;
        if (close) {
            prepareEnding();
        }
        int sent = StreamSender.send(this, StreamSender.content(body), close);
        // When the client has gone the engine's news of it is on its way; on-close is its business.
        return close && sent != Native.NOT_OPEN && STATE.compareAndSet(this, STREAMING, CLOSED) ? ENDED : sent;
    }

    private boolean upgrade(ResponseWriter headers, UpgradeOptions options) {
        WebSocket socket = new WebSocket(this, options);
        webSocket = socket;
        if (!upgradeAsked || handlerReturned || socket.callback(Application.MESSAGE_TEXT) != null) {
            socket.openQueue();
        }
        int upgraded;
        Ending lost;
        Ending stopped;
        try {
            // Without them there would be no end, if the client has gone.
            lost = socket.ending(Application.CLOSED_LOST, CloseStatus.ABNORMAL, "");
            stopped = socket.ending(Application.CLOSED_SERVER, CloseStatus.GOING_AWAY, "");
            application.register(socket);
            upgraded = Native.upgrade(connection(), exchange(), headers.block(), headers.length(),
                options.flags, options.maxMessage, options.idleMillis);
        } catch (Throwable failure) {
            application.unregister(socket);
            webSocket = null;
            unclaim(UPGRADING);
            throw failure;
        }
        application.unwatch(this);
        STATE.compareAndSet(this, UPGRADING, UPGRADED);
        if (upgraded == Native.NOT_OPEN) {
            socket.closed(application.isStopping() ? stopped : lost, 0);
        }
        return upgraded != Native.NOT_OPEN;
    }

    /** Drops WebSocket messages and pings for which no callback is set, from now on. Before that they wait for the handler to set one. */
    public void openQueue() {
        WebSocket socket = webSocket;
        if (socket != null) {
            socket.openQueue();
        }
    }

    /** Hears of the connection's end from now on, also if it is in the past: the engine reports it only once. */
    private void watch() {
        Watcher watcher = new Watcher(this);
        if (!application.registerIfAbsent(this, watcher)) {
            return;
        }
        if (isClosed()) {
            application.unregister(this, watcher);
        } else if (!Native.watch(connection(), exchange())) {
            lose(application.isStopping() ? Application.CAUSE_SERVER : Application.CAUSE_CLIENT);
        }
    }
}
