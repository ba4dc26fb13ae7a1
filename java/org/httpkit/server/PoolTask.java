package org.httpkit.server;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.Executor;

/**
 * A task that runs once each time it is given to a pool, or not at all.
 *
 * <p>A pool that throws may have taken the task all the same, and run it later: a ThreadPoolExecutor without threads queues it before it
 * finds that it can start none. Whoever withdraws the task has it answered, refused or run elsewhere.
 */
abstract class PoolTask implements Runnable {
    private static final VarHandle ASKED;

    static {
        try {
            ASKED = MethodHandles.lookup().findVarHandle(PoolTask.class, "asked", boolean.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** A pool was asked to run it and has not begun. */
    private volatile boolean asked;

    static PoolTask of(Runnable task) {
        return new PoolTask() {
            @Override
            void perform() {
                task.run();
            }
        };
    }

    /** Gives it to the pool, and throws what that throws if it has not begun the task: then it will not. */
    final void submitTo(Executor pool) {
        asked = true;
        try {
            pool.execute(this);
        } catch (Throwable failure) {
            if (withdraw()) {
                throw failure;
            }
        }
    }

    /** Returns true if a pool has the task and has not begun it: now it will not. */
    final boolean withdraw() {
        return ASKED.compareAndSet(this, true, false);
    }

    @Override
    public final void run() {
        if (withdraw()) {
            perform();
        }
    }

    /** Does what is to be done, here and now. */
    abstract void perform();
}
