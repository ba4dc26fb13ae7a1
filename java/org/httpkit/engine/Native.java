package org.httpkit.engine;

import java.io.IOException;

/**
 * Every call from Java into the native engine; its Rust side is {@code rust/jni}.
 *
 * <p>An exchange (one request and its answer) is named by {@code (connection, exchange)}, a generational handle: a stale one is
 * answered with {@link #NOT_OPEN}, never with another exchange. All methods may be called from any thread, also from within
 * {@link Worker#request}. A status, header name or header value that must not reach the wire is an IllegalArgumentException.
 */
public final class Native {
    /** The exchange is already answered, its connection has gone, or the handle is stale. Nothing was sent. */
    public static final int NOT_OPEN = 0;
    /** Written, or queued within the window. */
    public static final int ACCEPTED = 1;
    /** Queued, but above the window: send nothing more until {@link Application#writable}. */
    public static final int FULL = 2;

    /** A flag of {@link #upgrade}: the application answers pings itself. */
    public static final int UPGRADE_OWN_PONG = 1;

    /** Any that a Close frame may have. */
    private static final int CLOSE_CODE = 1000;

    /** The number of values {@link #stats} gives. */
    public static final int COUNTERS = 12;
    /** How many of them, the last ones, say what is now and not what has been. */
    public static final int GAUGES = 2;

    static {
        NativeLibrary.load();
    }

    private static final byte[] NOTHING = {};

    private Native() {
    }

    /**
     * Calls, for an exchange or server that is none, the methods that must not fail for want of memory: the JVM looks a native method up
     * when it is called for the first time, and needs memory for it.
     */
    public static void link() {
        abort(0, 0);
        send(0, 0, NOTHING, 0, 0, true);
        closeWebSocket(0, 0, CLOSE_CODE, NOTHING);
        resume(0, 0);
        localAddress(0);
        remoteAddress(0);
        close(0);
    }

    /** Binds, listens, and returns the server's id. Throws BindException when the address is not to be had. */
    public static native long start(Application application, byte[] configuration) throws IOException;

    /** Returns the bound port, or -1 for a Unix socket. */
    public static native int port(long server);

    /**
     * Stops listening, closes idle connections and lets the others finish their exchange; {@link Application#drained} follows once no
     * connection is left.
     */
    public static native void drain(long server);

    /** Cuts every connection that is left and frees the id. Idempotent. */
    public static native void close(long server);

    /**
     * Fills {@code counters}, {@link #COUNTERS} long, with what the server has counted: connections accepted, requests, those that ran in
     * place, those the engine refused, calls in place over their budget, those a spare thread was released for, bytes in, bytes
     * out, WebSocket messages in and out, the connections open now, and the bytes that wait for their clients.
     */
    public static native void stats(long server, long[] counters);

    /** Has {@link Worker#request} and {@link Worker#message} called by these functions of {@link UpCalls}, where they can be. */
    static native void upCalls(long request, long message);

    /** Reports whether a handler that ran on the pool kept within the budget of a call in place. */
    public static native void observe(int route, boolean quick);

    /** Answers an exchange with a response block that carries the whole body. */
    public static native int respond(long connection, int exchange, byte[] block, int length);

    /**
     * Answers an exchange with a body of its own. Up to 64 KiB are copied; of a larger body the engine keeps the array and reads it as
     * the client takes it, so it must not change.
     */
    public static native int respondBytes(
        long connection, int exchange, byte[] block, int length, byte[] body, int offset, int count);

    /** Answers an exchange with a file. FileNotFoundException if it is missing or a directory; the exchange is then still open. */
    public static native int respondFile(long connection, int exchange, byte[] block, int length, byte[] path)
        throws IOException;

    /** Sends the head of an answer of unknown length: chunked in HTTP/1.1, until the connection closes in HTTP/1.0. */
    public static native int startStream(long connection, int exchange, byte[] block, int length);

    /** Sends one piece of a started answer, copying it, and ends the answer when {@code finish} is true. */
    public static native int send(
        long connection, int exchange, byte[] data, int offset, int count, boolean finish);

    /**
     * Returns what has come of a body that is read while it arrives ({@link RequestReader#isStreamed}) since the last call: null for nothing
     * yet, until {@link Application#readable}; empty at the end. Throws IOException if there will be no more of it.
     */
    public static native byte[] receive(long connection, int exchange) throws IOException;

    /**
     * Asks for {@link Application#closed} as soon as the client closes its side; otherwise such a client may still wait for its answer.
     * Returns false if the exchange is over or the client has gone.
     */
    public static native boolean watch(long connection, int exchange);

    /** Cuts the connection, so that an answer under way cannot be taken for a complete one. */
    public static native void abort(long connection, int exchange);

    /**
     * Answers an exchange with the head in the block, a 101, and makes it a WebSocket. A {@code maxMessage} of 0 bytes is the server's limit,
     * {@code idleMillis} of 0 no limit to silence. Messages may come before this returns.
     */
    public static native int upgrade(
        long connection, int exchange, byte[] block, int length, int flags, int maxMessage, int idleMillis);

    /**
     * Sends a message as one frame, copying it; {@code opcode} is one of the MESSAGE constants of {@link Application}. A ping or pong of
     * more than 125 bytes is an IllegalArgumentException. {@link #NOT_OPEN} also once the closing handshake has begun.
     */
    public static native int sendMessage(long connection, int exchange, int opcode, byte[] payload, int offset, int count);

    /**
     * {@link #sendMessage} for a text, its UTF-8 in native memory: {@code count} bytes at {@code address} that nobody writes meanwhile.
     */
    static native int sendText(long connection, int exchange, long address, int count);

    /**
     * Sends a Close frame, waits a while for the client's and closes the connection. The application hears no more of the exchange. A code
     * or reason that no Close frame can have is an IllegalArgumentException.
     */
    public static native int closeWebSocket(long connection, int exchange, int code, byte[] reason);

    /** Asks for messages again after {@link Application#HOLD}; may come before that was returned. */
    public static native void resume(long connection, int exchange);

    /** Returns the local address as {@code "/127.0.0.1:8080"}, or null once the connection has gone. */
    public static native String localAddress(long connection);

    /** Returns the client's address as {@code "/127.0.0.1:51234"}, or null once the connection has gone. */
    public static native String remoteAddress(long connection);
}
