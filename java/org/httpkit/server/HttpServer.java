package org.httpkit.server;

import java.io.IOException;
import java.util.Arrays;
import java.util.Date;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.httpkit.engine.Native;
import org.httpkit.engine.NativeLibrary;
import org.httpkit.engine.Worker;
import org.httpkit.logger.ContextLogger;
import org.httpkit.logger.LogLimit;

/**
 * One running server: its life from {@link #start} to {@link #stop}, once.
 *
 * <p>Sockets and threads are the engine's. The thread {@code server-loop} keeps the JVM alive until the server has stopped: programs whose
 * main returns after run-server rely on it. Otherwise it serves the {@link Overflow}, which nearly always means to wait.
 */
public final class HttpServer {
    /** Prints warnings to the standard error stream, one line each, ten of a kind a second. */
    public static final ContextLogger<String, Throwable> DEFAULT_WARN_LOGGER = new LogLimit((message, error) ->
        System.err.printf("%s [%s] WARN - %s%n", new Date(), HttpServer.THREAD_NAME, error == null ? message : error.getMessage()));

    private static final String THREAD_NAME = "server-loop";
    /** For close callbacks, when the timeout leaves them less: a stop that cuts at once owes them as well. */
    private static final long LEAST_CLOSE_NANOS = TimeUnit.SECONDS.toNanos(1);

    /** The states of a server. */
    public enum Status {
        STOPPED,
        RUNNING,
        STOPPING,
    }

    /** Comes after the end of the thread, by which it would be told too early. */
    private final CountDownLatch stopped = new CountDownLatch(1);
    private final RingApplication application;
    private final byte[] configuration;
    private final AtomicBoolean started = new AtomicBoolean();
    private final AtomicReference<Status> status = new AtomicReference<>(Status.STOPPED);
    private final Thread thread;
    private long id;
    private int port = -1;
    private volatile long[] finalStats;

    /** Makes a server that will serve the application under an encoded {@code Configuration}. */
    public HttpServer(RingApplication application, byte[] configuration) {
        this.application = application;
        this.configuration = configuration.clone();
        this.thread = new Thread(this::awaitStopped, THREAD_NAME);
        this.thread.setDaemon(false);
    }

    /** Lets the JVM end while the server runs; to be called before {@link #start}. */
    public void daemon() {
        thread.setDaemon(true);
    }

    /**
     * Binds and listens before it returns. Returns false if the server has been started before: it cannot be again. Throws
     * BindException when the address is not to be had; nothing is left behind then.
     */
    public synchronized boolean start() throws IOException {
        if (!started.compareAndSet(false, true)) {
            return false;
        }
        // Here and not only when Native is initialized: a class that failed to initialize says why just once.
        NativeLibrary.load();
        Native.link();
        status.set(Status.RUNNING);
        boolean bound = false;
        try {
            id = Native.start(application, configuration);
            bound = true;
            port = Native.port(id);
            thread.start();
        } catch (Throwable failure) {
            status.set(Status.STOPPED);
            if (bound) {
                Native.close(id);
            }
            throw failure;
        }
        return true;
    }

    /** Stops the server. See {@link #stop(int, Runnable)}. */
    public boolean stop(int timeout) {
        return stop(timeout, null);
    }

    /**
     * Stops listening, gives running exchanges {@code timeout} milliseconds to finish, cuts what is left and interrupts its handlers.
     * Waits for the close callbacks of what it cut, a second if less is left of the timeout, and calls {@code callback}. The pool is shut
     * down, whoever made it. Returns false if the server was not running.
     *
     * <p>Called from within a server's handler or callback it does not wait for close callbacks: they may wait for that one.
     */
    public boolean stop(int timeout, Runnable callback) {
        long[] counters = new long[Native.COUNTERS];
        // A start under way is waited for: until it is over there is nothing to stop.
        synchronized (this) {
            if (!status.compareAndSet(Status.RUNNING, Status.STOPPING)) {
                return false;
            }
        }
        boolean interrupted = false;
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeout);
        application.stops();
        if (timeout <= 0) {
            application.poolEnds();
        }
        // Whatever a pool of the user's throws, or the JVM for want of memory, the server stops: nobody can stop it again.
        try {
            Native.drain(id);
            interrupted = drain(timeout, deadline);
            // Cut first: what a handler makes of its interrupt must not pass for an answer. By then the pool takes nothing new,
            // so that on-close callbacks are neither dropped with its queue nor interrupted with its threads.
            application.executor().shutdown();
        } finally {
            try {
                // Before the engine forgets the server, which is before it closes the connections that are left.
                Native.stats(id, counters);
                Arrays.fill(counters, Native.COUNTERS - Native.GAUGES, Native.COUNTERS, 0);
                finalStats = counters;
            } finally {
                cut(interrupted, deadline, callback);
            }
        }
        return true;
    }

    /** Returns true while the server's thread lives. */
    public boolean isAlive() {
        return thread.isAlive();
    }

    /** Returns the port the server is, or was, bound to; -1 for a Unix socket. */
    public int getPort() {
        return port;
    }

    /** Returns where the server is in its life. */
    public Status getStatus() {
        return status.get();
    }

    /** Returns the counters of {@link Native#stats}; those of the end once the server has stopped. */
    public long[] stats() {
        long[] counters = new long[Native.COUNTERS];
        if (finalStats == null && status.get() != Status.STOPPED) {
            try {
                Native.stats(id, counters);
            } catch (IllegalStateException e) {
                // It has stopped since.
            }
        }
        return finalStats == null ? counters : finalStats.clone();
    }

    /** Returns the requests refused with 503 because the pool took no more. */
    public long refused() {
        return application.telemetry().refused();
    }

    /** Waits until the server has stopped. */
    public void join() throws InterruptedException {
        thread.join();
        if (status.get() == Status.STOPPING) {
            stopped.await();
        }
    }

    /** Returns true if it was interrupted. */
    private boolean drain(int timeout, long deadline) {
        if (timeout <= 0) {
            return false;
        }
        try {
            // The pool works until the last exchange is over: streamed bodies run on it.
            application.awaitDrained(timeout, TimeUnit.MILLISECONDS);
            application.executor().shutdown();
            application.executor().awaitTermination(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
            return false;
        } catch (InterruptedException e) {
            return true;
        }
    }

    private void cut(boolean interrupted, long deadline, Runnable callback) {
        Native.close(id);
        try {
            application.executeLeftOver(application.executor().shutdownNow());
        } finally {
            end(interrupted, deadline, callback);
        }
    }

    private void end(boolean interruptedBefore, long deadline, Runnable callback) {
        boolean interrupted = interruptedBefore;
        try {
            Worker.interruptAll(application);
            // Not before the handlers are interrupted: a callback may wait for its handler.
            if (!interrupted && !isWithinServer()) {
                interrupted = awaitClosed(deadline);
            }
        } finally {
            application.overflow().stop();
            interrupted |= joinUninterruptibly();
            status.set(Status.STOPPED);
            stopped.countDown();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            if (callback != null) {
                callback.run();
            }
        }
    }

    /** Returns true if it was interrupted. */
    private boolean awaitClosed(long deadline) {
        try {
            application.awaitClosed(Math.max(LEAST_CLOSE_NANOS, deadline - System.nanoTime()));
            return false;
        } catch (InterruptedException e) {
            return true;
        }
    }

    /**
     * Returns true if this thread was called by a server, to run a handler, a callback or a body. The stack tells, so that no request pays
     * for the question; of which server it does not tell.
     */
    private static boolean isWithinServer() {
        String here = HttpServer.class.getPackageName();
        try {
            return StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE).walk(frames -> frames
                .map(StackWalker.StackFrame::getDeclaringClass)
                .anyMatch(caller -> caller != HttpServer.class && caller.getPackageName().equals(here)));
        } catch (OutOfMemoryError | LinkageError noMemory) {
            // Now, or when its classes were first used, for which they stay broken.
            return false;
        }
    }

    private boolean joinUninterruptibly() {
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        return interrupted;
    }

    private void awaitStopped() {
        boolean done = false;
        while (!done) {
            try {
                application.overflow().serve();
                done = true;
            } catch (InterruptedException e) {
                // Only stop ends this thread.
            }
        }
    }
}
