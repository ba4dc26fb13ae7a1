package org.httpkit.engine;

/**
 * What the native engine serves: a program that answers requests and hears about its exchanges.
 *
 * <p>The engine calls these methods on its own threads and looks them up by name and signature (rust/jni). None of them may block
 * or throw, except {@link #request} and {@link #message}, which may run the user's code when that is marked to run in place.
 */
public abstract class Application {
    /** Loss of a connection by the client. */
    public static final int CAUSE_CLIENT = 0;
    /** Loss of a connection because the server stopped, or the application aborted the exchange. */
    public static final int CAUSE_SERVER = 1;
    /** Loss of a connection because a deadline passed. */
    public static final int CAUSE_TIMEOUT = 2;

    /** The kinds of messages, in the lowest four bits: their opcodes (RFC 6455 section 5.2). */
    public static final int MESSAGE_TEXT = 1;
    public static final int MESSAGE_BINARY = 2;
    /**
     * No message: the client broke the protocol, and its connection is failed next. {@link #HOLD} puts that off until {@link Native#resume},
     * for a second at most, so that earlier messages can still be answered.
     */
    public static final int MESSAGE_BROKEN = 8;
    public static final int MESSAGE_PING = 9;
    public static final int MESSAGE_PONG = 10;
    /** The bits of a message's kind that are its opcode. */
    public static final int MESSAGE_OPCODE = 0xf;
    /** In the kind of a message: its callback is to run on this thread. */
    public static final int MESSAGE_IN_PLACE = 0x10;
    /** The rest of a kind, shifted by so many bits, is the number of the message on its connection, from 0 and modulo 2^24. */
    public static final int MESSAGE_NUMBER_SHIFT = 8;

    /** The answer to a message: the next may come. */
    public static final int GO_ON = 0;
    /** The answer to a message: no more of this exchange until {@link Native#resume}. */
    public static final int HOLD = 1;

    /** End of a WebSocket by the client's Close frame. */
    public static final int CLOSED_CLIENT = 0;
    /** End of a WebSocket whose connection has gone without a Close frame. */
    public static final int CLOSED_LOST = 1;
    /** End of a WebSocket because the client broke the protocol; the reason says how. */
    public static final int CLOSED_VIOLATION = 2;
    /** End of a WebSocket because the server stops. */
    public static final int CLOSED_SERVER = 3;
    /** End of a WebSocket because more output waited for the client than may. */
    public static final int CLOSED_SLOW = 4;
    /** End of a WebSocket because the client was silent, did not answer pings, or left a message unfinished. */
    public static final int CLOSED_IDLE = 5;
    /** End of a WebSocket because there was no room for the client's message. */
    public static final int CLOSED_OVERLOAD = 6;

    private final ClassLoader classLoader;

    /** Captures the class loader the application is started with; handlers see it as their context class loader. */
    protected Application(ClassLoader classLoader) {
        this.classLoader = classLoader;
    }

    /** Returns the number under which {@link UpCalls} find this application from now on. */
    final int number() {
        return UpCalls.add(this);
    }

    /** Returns the context class loader handlers run with. */
    public final ClassLoader classLoader() {
        return classLoader;
    }

    /**
     * Takes one request, which {@code request} holds until this method returns. Returns the length of a response block left in the
     * worker's buffer, or 0 when the exchange has been answered or will be.
     */
    protected abstract int request(Worker worker, RequestReader request, long connection, int exchange);

    /**
     * Takes a WebSocket message, a String or a byte[], whose {@code length} on the wire was so many bytes; a Throwable in place of one that
     * could not be made. Messages of one exchange come in order, and no two at once; but while a call for one that is to run in place takes
     * long, the next comes on another thread, and may be here first if the thread of the other lost its core on the way: their
     * numbers tell. Returns {@link #GO_ON} or {@link #HOLD}.
     */
    protected abstract int message(
        Worker worker, long connection, int exchange, int kind, int route, Object payload, int length);

    /** As {@link #message}, for one that failed on its way there: it may have been taken, or never have come. */
    protected abstract int lost(
        Worker worker, long connection, int exchange, int kind, int route, Throwable failure, int length);

    /**
     * A WebSocket has ended, and not by {@link Native#closeWebSocket}; {@code kind} is one of the CLOSED constants in its lowest eight bits,
     * and in the others how many messages there were, of which one may be late. Comes once.
     */
    protected abstract void webSocketClosed(long connection, int exchange, int kind, int code, String reason);

    /** An exchange that was told {@link Native#FULL} has room again. */
    protected abstract void writable(long connection, int exchange);

    /** There is more of a body of which {@link Native#receive} had nothing, or there will be none. */
    protected abstract void readable(long connection, int exchange);

    /** An HTTP exchange that was not finished has lost its connection; {@code cause} is one of the CAUSE constants. */
    protected abstract void closed(long connection, int exchange, int cause);

    /** The engine itself answered a request with this error status. */
    protected abstract void rejected(int status);

    /** Accepting a connection failed; the engine backs off and tries again. */
    protected abstract void acceptFailed(String message);

    /** The server was told to drain and its last connection has ended. */
    protected abstract void drained();

    /** There was no memory for the body, of so many bytes, of a request that {@link #request} was not called for. It is to be answered. */
    protected abstract void noMemory(long connection, int exchange, int length);

    /** The engine refused the block that {@link #request} left in the buffer; the exchange is still open. */
    protected abstract void invalidResponse(long connection, int exchange, String message);
}
