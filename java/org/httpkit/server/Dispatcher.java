package org.httpkit.server;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongSupplier;
import org.httpkit.engine.Configuration;
import org.httpkit.engine.Native;

/**
 * Where the handlers of one server run: the pool, the bound on how many run at once, and the budget of a call in place.
 *
 * <p>The engine decides for each request whether it is to run in place; here it may still be sent to the pool, because as many handlers
 * run as may.
 */
public final class Dispatcher {
    /** Between two looks for a turn, where there is no memory to wait for one. */
    private static final long RETRY_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

    private final ExecutorService executor;
    private final int mode;
    private final long budgetNanos;
    /** One for each handler that may run at once, null for any number. */
    private final Semaphore running;
    /** One for each handler that may run or wait, null with {@link #running}. */
    private final Semaphore admitted;

    /**
     * Runs handlers in the given mode of {@link Configuration}. {@code bound} is the number of handlers that may run at once, in place and
     * on the pool together, and {@code queue} the number that may wait; a bound of 0 leaves both to the pool.
     */
    public Dispatcher(ExecutorService executor, int mode, int budgetMicros, int bound, int queue) {
        boolean bounded = bound > 0 && mode != Configuration.DISPATCH_POOL;
        this.executor = executor;
        this.mode = mode;
        this.budgetNanos = TimeUnit.MICROSECONDS.toNanos(budgetMicros);
        this.running = bounded ? new Semaphore(bound) : null;
        this.admitted = bounded ? new Semaphore((int) Math.min(Integer.MAX_VALUE, (long) bound + queue)) : null;
    }

    /** Returns the pool. */
    public ExecutorService executor() {
        return executor;
    }

    /** Returns true if one more handler may run in place; to be followed by {@link #leave}. */
    boolean tryEnter() {
        if (running == null) {
            return true;
        }
        if (!admitted.tryAcquire()) {
            return false;
        }
        if (running.tryAcquire()) {
            return true;
        }
        admitted.release();
        return false;
    }

    /** Ends what {@link #tryEnter} began. */
    void leave() {
        if (running != null) {
            running.release();
            admitted.release();
        }
    }

    /**
     * Submits a task that calls handlers one after the other, each between {@link #begin} and {@link #observe}. Throws
     * RejectedExecutionException when the pool, or the bound, takes no more.
     */
    void submit(ServerTask handlers) throws RejectedExecutionException {
        execute(running == null ? handlers : ServerTask.of(() -> runBounded(handlers::perform)));
    }

    /** Submits a handler whose time says nothing about its route. Throws RejectedExecutionException likewise. */
    void submitUntimed(Runnable handler) throws RejectedExecutionException {
        execute(PoolTask.of(() -> runBounded(handler)));
    }

    /** Returns the time at which a handler begins, where that matters. */
    long begin() {
        return mode == Configuration.DISPATCH_ADAPTIVE ? System.nanoTime() : 0;
    }

    /** A handler that ran on the pool has ended: tells the engine whether its route would do in place. */
    void observe(int route, long begun) {
        if (mode == Configuration.DISPATCH_ADAPTIVE) {
            Native.observe(route, System.nanoTime() - begun <= budgetNanos);
        }
    }

    /**
     * Submits a handler, which returns how many nanoseconds of its time were not its own. Throws RejectedExecutionException when the pool,
     * or the bound, takes no more.
     */
    void submit(int route, LongSupplier handler) throws RejectedExecutionException {
        execute(PoolTask.of(() -> run(route, handler)));
    }

    private void execute(PoolTask task) {
        admit();
        try {
            task.submitTo(executor);
        } catch (Throwable failure) {
            throw dismissed(failure);
        }
    }

    /** Allocates nothing: the handler has an answer for whatever it fails with, but would not run. */
    private void run(int route, LongSupplier handler) {
        awaitTurn();
        try {
            long begun = begin();
            long elsewhere = 0;
            try {
                elsewhere = handler.getAsLong();
            } finally {
                observe(route, begun + elsewhere);
            }
        } finally {
            leave();
        }
    }

    private void runBounded(Runnable task) {
        awaitTurn();
        try {
            task.run();
        } finally {
            leave();
        }
    }

    /** An interrupt stays set: it is for the handler. */
    private void awaitTurn() {
        if (running == null) {
            return;
        }
        try {
            running.acquireUninterruptibly();
        } catch (OutOfMemoryError noMemory) {
            // For a place in the line, which has been admitted already.
            while (!running.tryAcquire()) {
                LockSupport.parkNanos(RETRY_NANOS);
            }
        }
    }

    private void admit() {
        if (admitted != null && !admitted.tryAcquire()) {
            throw new RejectedExecutionException("As many handlers run and wait as may");
        }
    }

    /**
     * Takes an admission back. Returns the rejection to throw: a pool that finds no thread to start throws an OutOfMemoryError, "unable to
     * create native thread", and has not taken the task either.
     */
    private RejectedExecutionException dismissed(Throwable failure) {
        if (admitted != null) {
            admitted.release();
        }
        return failure instanceof RejectedExecutionException
            ? (RejectedExecutionException) failure
            : new RejectedExecutionException("The pool failed", failure);
    }
}
