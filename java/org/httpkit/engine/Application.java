package org.httpkit.engine;

/**
 * What the native engine serves: a program that answers requests and hears about its exchanges.
 *
 * <p>The engine calls these methods on its own threads and looks them up by name and signature (rust/jni). None of them may block
 * or throw, except {@link #request}, which may run the user's handler when the request is marked to run in place.
 */
public abstract class Application {
    /** Loss of a connection by the client. */
    public static final int CAUSE_CLIENT = 0;
    /** Loss of a connection because the server stopped, or the application aborted the exchange. */
    public static final int CAUSE_SERVER = 1;
    /** Loss of a connection because a deadline passed. */
    public static final int CAUSE_TIMEOUT = 2;

    private final ClassLoader classLoader;

    /** Captures the class loader the application is started with; handlers see it as their context class loader. */
    protected Application(ClassLoader classLoader) {
        this.classLoader = classLoader;
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

    /** An exchange that was told {@link Native#FULL} has room again. */
    protected abstract void writable(long connection, int exchange);

    /** An exchange that was not finished has lost its connection; {@code cause} is one of the CAUSE constants. */
    protected abstract void closed(long connection, int exchange, int cause);

    /** The engine itself answered a request with this error status. */
    protected abstract void rejected(int status);

    /** Accepting a connection failed; the engine backs off and tries again. */
    protected abstract void acceptFailed(String message);

    /** The server was told to drain and its last connection has ended. */
    protected abstract void drained();

    /** The engine refused the block that {@link #request} left in the buffer; the exchange is still open. */
    protected abstract void invalidResponse(long connection, int exchange, String message);
}
