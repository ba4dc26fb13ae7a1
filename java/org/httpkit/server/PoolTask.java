package org.httpkit.server;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

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

    /** A pool is about to get it. */
    final void ask() {
        asked = true;
    }

    /** Returns true if no pool has begun it, nor will. */
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
