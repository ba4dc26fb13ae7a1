package org.httpkit.server;

import clojure.lang.IFn;
import clojure.lang.IPersistentMap;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import org.httpkit.PrefixThreadFactory;
import org.httpkit.engine.Application;
import org.httpkit.engine.Native;
import org.httpkit.engine.RequestReader;
import org.httpkit.engine.Worker;

/**
 * A Ring handler as the engine's application: dispatches requests and hands the engine's news to whom they concern.
 *
 * <p>Keeps nothing for an ordinary exchange; only those that outlive their request (streams, channels) are registered.
 */
public final class RingApplication extends Application {
    private static final int CONTENT_TOO_LARGE = 413;
    private static final int URI_TOO_LONG = 414;
    private static final int HEADERS_TOO_LARGE = 431;
    private static final int CLOSED_KIND = 0xff;

    static {
        // Loaded here: by the first requests that fail, several at once, it would pin their virtual threads.
        // With a heap that is full then they would stay broken, too.
        new ChannelCallbacks().end(new Ending(null, null, CloseStatus.SERVER, CloseStatus.NORMAL, "", null));
    }

    private final IFn handler;
    private final boolean ringAsync;
    private final boolean ringSpec;
    private final Dispatcher dispatcher;
    private final ExecutorService executor;
    private final Telemetry telemetry;
    private final AnswerSender sender;
    private final Responder responder;
    private final SlowClient slowClient;
    private final ConcurrentMap<ExchangeKey, ExchangeListener> listeners = new ConcurrentHashMap<>();
    private final ConcurrentMap<ExchangeKey, WebSocket> webSockets = new ConcurrentHashMap<>();
    private final ConcurrentMap<ExchangeKey, StreamedBody> bodies = new ConcurrentHashMap<>();
    private final CountDownLatch drained = new CountDownLatch(1);
    private final CloseTasks closeTasks = new CloseTasks();
    private volatile boolean stops;
    private volatile boolean poolEnds;
    private final Overflow overflow = new Overflow(overflowThreads());

    /**
     * Serves {@code handler}, which takes [request respond raise] if it is {@code ringAsync}. What must not run on an engine thread runs on
     * the dispatcher's pool.
     */
    public RingApplication(
        IFn handler, boolean ringAsync, Dispatcher dispatcher, Telemetry telemetry, SlowClient slowClient, AnswerOptions answers) {
        super(Thread.currentThread().getContextClassLoader());
        this.handler = handler;
        this.ringAsync = ringAsync;
        this.ringSpec = answers.ringSpec;
        this.dispatcher = dispatcher;
        this.executor = dispatcher.executor();
        this.telemetry = telemetry;
        this.sender = new AnswerSender(this, telemetry, answers);
        this.responder = new Responder(sender, telemetry, answers);
        this.slowClient = slowClient;
    }

    /** Threads started by whoever stops the server, or by an engine thread that served another application last. */
    private ThreadFactory overflowThreads() {
        ThreadFactory threads = new PrefixThreadFactory("http-kit-server-overflow-");
        return task -> {
            Thread thread = threads.newThread(task);
            thread.setContextClassLoader(classLoader());
            return thread;
        };
    }

    ExecutorService executor() {
        return executor;
    }

    Dispatcher dispatcher() {
        return dispatcher;
    }

    /** Returns what becomes of data for a client that takes too little. */
    SlowClient slowClient() {
        return slowClient;
    }

    /** Returns where the server's own tasks run when the pool takes no more. */
    Overflow overflow() {
        return overflow;
    }

    Telemetry telemetry() {
        return telemetry;
    }

    AnswerSender sender() {
        return sender;
    }

    @Override
    protected int request(Worker worker, RequestReader request, long connection, int exchange) {
        AsyncChannel channel = new AsyncChannel(this, connection, exchange, request);
        StreamedBody body = request.isStreamed() ? new StreamedBody(this, channel) : null;
        IPersistentMap ringRequest = request.ringRequest(channel, body, ringSpec ? () -> Native.localAddress(connection) : null);
        if (request.isInPlace() && dispatcher.tryEnter()) {
            Object outer = worker.begin(this);
            try {
                return handle(channel, ringRequest, worker);
            } finally {
                worker.end(this, outer);
                dispatcher.leave();
            }
        }
        try {
            if (body != null) {
                dispatcher.submitUntimed(() -> handleOnPool(channel, ringRequest));
                return 0;
            }
            dispatcher.submit(request.route(), () -> {
                handleOnPool(channel, ringRequest);
                return channel.fileNanos;
            });
            return 0;
        } catch (RejectedExecutionException rejection) {
            return responder.refuse(channel, rejection, worker);
        }
    }

    /** What even the answer to a failure fails with, as when there is no memory for it, ends the connection: nobody else would. */
    private void handleOnPool(AsyncChannel channel, IPersistentMap request) {
        boolean handled = false;
        try {
            handle(channel, request, null);
            handled = true;
        } finally {
            if (!handled) {
                Native.abort(channel.connection(), channel.exchange());
            }
        }
    }

    private int handle(AsyncChannel channel, IPersistentMap request, Worker worker) {
        if (ringAsync) {
            new RingCompletion(responder, channel, request).run(handler);
            return 0;
        }
        try {
            Object response;
            try {
                response = handler.invoke(request);
            } catch (Throwable failure) {
                return responder.fail(channel, failure, worker);
            }
            return responder.respond(channel, request, response, worker);
        } finally {
            channel.handlerReturned();
        }
    }

    /** Runs a task of the server's own on the pool, or on threads kept for such tasks when the pool takes no more. */
    void execute(ServerTask task) {
        if (poolEnds) {
            overflow.execute(task);
            return;
        }
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        // A thread that the pool starts for the task inherits the loader, and keeps it for every handler it will run.
        thread.setContextClassLoader(classLoader());
        try {
            task.submitTo(executor);
        } catch (Throwable rejection) {
            // Also an OutOfMemoryError: "unable to create native thread".
            overflow.execute(task);
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    /** Runs close callbacks that are owed; while the server stops where the interrupt of its handlers does not reach them. */
    void executeOwed(ServerTask task) {
        if (stops) {
            overflow.execute(task);
        } else {
            execute(task);
        }
    }

    /** The server begins to stop. */
    void stops() {
        stops = true;
    }

    /** Returns true once the server stops, also when it has. */
    boolean isStopping() {
        return stops;
    }

    /** The pool's threads are about to be interrupted: the server's own tasks run elsewhere from now on. */
    void poolEnds() {
        poolEnds = true;
    }

    /** Runs those of the tasks the pool was shut down with that are the server's own: an on-close is owed to whoever has set it. */
    void executeLeftOver(List<Runnable> tasks) {
        for (Runnable task : tasks) {
            // The pool may have thrown at it as well, and it was run elsewhere.
            if (task instanceof ServerTask && ((ServerTask) task).withdraw()) {
                overflow.execute((ServerTask) task);
            }
        }
    }

    void register(AsyncChannel channel, ExchangeListener listener) {
        listeners.put(channel, listener);
    }

    boolean registerIfAbsent(AsyncChannel channel, ExchangeListener listener) {
        return listeners.putIfAbsent(channel, listener) == null;
    }

    void register(WebSocket socket) {
        webSockets.put(socket.channel(), socket);
    }

    /** Tells the body when there is more of it, until {@link #unregister(ExchangeKey, StreamedBody)}. */
    void register(ExchangeKey exchange, StreamedBody body) {
        bodies.put(exchange, body);
    }

    void unregister(ExchangeKey exchange, StreamedBody body) {
        bodies.remove(exchange, body);
    }

    /** Takes the WebSocket out, if it is one. */
    void unregister(MessageQueue socket) {
        if (socket != null) {
            remove(webSockets, socket.channel(), socket);
        }
    }

    /** Takes the listener out; another that has taken its place stays. */
    void unregister(AsyncChannel channel, ExchangeListener listener) {
        remove(listeners, channel, listener);
    }

    /** Takes the channel's watcher out, if that is its listener. */
    void unwatch(AsyncChannel channel) {
        ExchangeListener listener = listeners.get(channel);
        if (listener instanceof Watcher) {
            remove(listeners, channel, listener);
        }
    }

    private static void remove(ConcurrentMap<ExchangeKey, ?> map, ExchangeKey key, Object value) {
        try {
            map.remove(key, value);
        } catch (OutOfMemoryError uncounted) {
            // It was for a counter: the entry had gone.
        }
    }

    /** Closes a body source; a failure to do so is worth no more than a warning. */
    void close(BodySource source) {
        try {
            source.close();
        } catch (IOException | RuntimeException failure) {
            telemetry.warn("failed to close " + source.description(), failure);
        }
    }

    /** Has a body write itself. One that fails before anything was sent is answered like a handler that throws. */
    void write(SelfWriting body, BodyOutputStream stream, AsyncChannel channel, int claimed, int status) {
        try {
            body.writeTo(stream);
            // SPEC, "StreamableResponseBody": for a synchronous handler the response is complete when this method ends.
            if (claimed == AsyncChannel.ANSWERED && !ringAsync) {
                stream.close();
            }
        } catch (Throwable failure) {
            if (stream.abandon()) {
                channel.unclaim(claimed);
                responder.fail(channel, failure, null);
                return;
            }
            try {
                // Logged before the client sees the cut.
                if (!stream.isLost()) {
                    telemetry.error(channel.requestLine(), failure);
                }
            } finally {
                // Also without the memory to log that there is none.
                stream.cut();
            }
        }
        if (claimed == AsyncChannel.ANSWERED) {
            telemetry.processed(status);
        }
    }

    /** Close callbacks are owed, for which a stop waits until {@link #settleClose}; {@link #executeOwed} is to follow. */
    void oweClose() {
        closeTasks.owe();
    }

    /** Close callbacks that were owed have run. */
    void settleClose() {
        closeTasks.settle();
    }

    /** Waits until the engine has told of every connection's end, and the close callbacks have run, for so many nanoseconds at most. */
    void awaitClosed(long nanos) throws InterruptedException {
        long deadline = System.nanoTime() + nanos;
        // A connection that ended by itself just before it was to be cut is told of on another thread.
        drained.await(nanos, TimeUnit.NANOSECONDS);
        closeTasks.await(deadline - System.nanoTime());
    }

    /** Reports what close callbacks threw, where no caller is left to hear of it. */
    void reportCloseError(Throwable failure) {
        telemetry.error("on close handler", failure);
        telemetry.event(telemetry.names().serverChannelCloseError);
    }

    /** Waits until the engine has no connection left. Returns false when the time is up. */
    boolean awaitDrained(long timeout, TimeUnit unit) throws InterruptedException {
        return drained.await(timeout, unit);
    }

    @Override
    protected int message(
        Worker worker, long connection, int exchange, int kind, int route, Object payload, int length) {
        WebSocket socket = webSockets.get(new ExchangeKey(connection, exchange));
        return socket == null ? GO_ON : socket.accept(worker, kind, route, payload, length);
    }

    @Override
    protected int lost(
        Worker worker, long connection, int exchange, int kind, int route, Throwable failure, int length) {
        WebSocket socket = webSockets.get(new ExchangeKey(connection, exchange));
        return socket == null ? GO_ON : socket.lose(worker, kind, route, failure, length);
    }

    @Override
    protected void webSocketClosed(long connection, int exchange, int kind, int code, String reason) {
        WebSocket socket = webSockets.get(new ExchangeKey(connection, exchange));
        if (socket != null) {
            socket.closed(kind & CLOSED_KIND, code, reason, kind >>> MESSAGE_NUMBER_SHIFT);
        }
    }

    @Override
    protected void writable(long connection, int exchange) {
        ExchangeKey key = new ExchangeKey(connection, exchange);
        ExchangeListener listener = listeners.get(key);
        if (listener != null) {
            listener.writable();
            return;
        }
        WebSocket socket = webSockets.get(key);
        if (socket != null) {
            socket.writable();
        }
    }

    @Override
    protected void readable(long connection, int exchange) {
        StreamedBody body = bodies.get(new ExchangeKey(connection, exchange));
        if (body != null) {
            body.readable();
        }
    }

    @Override
    protected void closed(long connection, int exchange, int cause) {
        ExchangeKey key = new ExchangeKey(connection, exchange);
        ExchangeListener listener = listeners.get(key);
        if (listener != null) {
            listener.closed(cause);
            // Not before: what throws is told again.
            remove(listeners, key, listener);
        }
    }

    @Override
    protected void rejected(int status) {
        if (status == CONTENT_TOO_LARGE) {
            telemetry.event(telemetry.names().serverStatus413);
        } else if (status == URI_TOO_LONG) {
            telemetry.event(telemetry.names().serverStatus414);
        } else if (status == HEADERS_TOO_LARGE) {
            telemetry.processed(status);
        }
    }

    @Override
    protected void acceptFailed(String message) {
        telemetry.error("accept incoming request", new IOException(message));
        telemetry.event(telemetry.names().serverAcceptError);
    }

    @Override
    protected void drained() {
        drained.countDown();
    }

    @Override
    protected void noMemory(long connection, int exchange, int length) {
        responder.refuseBody(connection, exchange, length);
    }

    @Override
    protected void invalidResponse(long connection, int exchange, String message) {
        responder.replaceInvalid(connection, exchange, message);
    }
}
