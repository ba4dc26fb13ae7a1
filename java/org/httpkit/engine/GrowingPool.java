package org.httpkit.engine;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A pool that starts a thread rather than let a task wait, up to its largest number of threads, and queues only then.
 *
 * <p>A plain ThreadPoolExecutor grows only when its queue is full: two handlers that sleep on two cores would stall all others until
 * 20,480 requests wait.
 */
public final class GrowingPool extends ThreadPoolExecutor {
    private static final int KEEP_ALIVE_SECONDS = 60;

    /** Threads that have ended because their time was up. */
    private final AtomicInteger ended = new AtomicInteger();

    /** Makes a pool of {@code minimum} to {@code maximum} threads before which at most {@code queueSize} tasks wait. */
    public GrowingPool(int minimum, int maximum, int queueSize, ThreadFactory factory) {
        super(minimum, maximum, KEEP_ALIVE_SECONDS, TimeUnit.SECONDS, new LastResortQueue(queueSize), factory, GrowingPool::queue);
        setThreadFactory(worker -> factory.newThread(() -> {
            try {
                worker.run();
            } finally {
                ended.getAndIncrement();
                do {
                    executeWaitingSafely();
                    // The last thread that can be had sees to all that waits.
                } while (getPoolSize() == 0 && !isShutdown() && !getQueue().isEmpty());
            }
        }));
    }

    /** A thread counts towards the maximum until it has ended: a task queued for that reason may have a new one then. */
    @Override
    public void execute(Runnable task) {
        int before = ended.get();
        try {
            super.execute(task);
        } catch (OutOfMemoryError noThread) {
            // "unable to create native thread": the task waits for those that run.
            if (getPoolSize() == 0) {
                throw noThread;
            }
            queue(task, this);
        }
        if (ended.get() != before) {
            executeWaitingSafely();
        }
    }

    /** Whatever a task throws, and be it for want of memory, others wait behind it. */
    private void executeWaitingSafely() {
        try {
            executeWaiting();
        } catch (Throwable failure) {
            report(failure);
        }
    }

    private static void report(Throwable failure) {
        Thread thread = Thread.currentThread();
        try {
            thread.getUncaughtExceptionHandler().uncaughtException(thread, failure);
        } catch (Throwable ignored) {
            // As the JVM does.
        }
    }

    private void executeWaiting() {
        Runnable task = isShutdown() ? null : getQueue().poll();
        if (task == null) {
            return;
        }
        try {
            execute(task);
        } catch (RejectedExecutionException | OutOfMemoryError noThread) {
            task.run();
        }
    }

    /** No thread could be started: now the task may wait, if there is room. */
    private static void queue(Runnable task, ThreadPoolExecutor pool) {
        if (pool.isShutdown() || !((LastResortQueue) pool.getQueue()).offerForced(task)) {
            throw new RejectedExecutionException("Task " + task + " rejected from " + pool);
        }
        if (pool.isShutdown() && pool.remove(task)) {
            throw new RejectedExecutionException("Task " + task + " rejected from " + pool);
        }
    }

    /**
     * Takes a task only for a thread that waits for one; the executor then tries to start a thread.
     *
     * <p>What the executor itself says of idle threads is too late: one that has its task already counts as idle until it begins to run it,
     * and a task queued for that thread would wait behind a handler that may block.
     */
    private static final class LastResortQueue extends ArrayBlockingQueue<Runnable> {
        private static final long serialVersionUID = 1L;
        /** How long a thread whose time is up waits for the task that was promised to it. */
        private static final long PROMISED_MILLIS = 1;

        /** Threads that wait here less the tasks that are here or about to be; below 0 if there are more tasks. */
        private final AtomicInteger free = new AtomicInteger();

        LastResortQueue(int capacity) {
            super(capacity);
        }

        @Override
        public boolean offer(Runnable task) {
            return reserve() && addReserved(task);
        }

        boolean offerForced(Runnable task) {
            free.getAndDecrement();
            return addReserved(task);
        }

        @Override
        public Runnable take() throws InterruptedException {
            free.getAndIncrement();
            try {
                return super.take();
            } catch (Throwable e) {
                // Not only interrupts: an OutOfMemoryError ends the thread.
                free.getAndDecrement();
                throw e;
            }
        }

        @Override
        public Runnable poll(long timeout, TimeUnit unit) throws InterruptedException {
            free.getAndIncrement();
            Runnable task;
            try {
                task = super.poll(timeout, unit);
                while (task == null && !reserve()) {
                    task = super.poll(PROMISED_MILLIS, TimeUnit.MILLISECONDS);
                }
            } catch (Throwable e) {
                free.getAndDecrement();
                throw e;
            }
            return task;
        }

        @Override
        public Runnable poll() {
            Runnable task = super.poll();
            if (task != null) {
                free.getAndIncrement();
            }
            return task;
        }

        @Override
        public boolean remove(Object task) {
            boolean removed = super.remove(task);
            if (removed) {
                free.getAndIncrement();
            }
            return removed;
        }

        /** Reserves a thread that waits, if there is one. */
        private boolean reserve() {
            return free.getAndUpdate(count -> count > 0 ? count - 1 : count) > 0;
        }

        /** Adds a task that is counted already. Returns false if there is no room for it. */
        private boolean addReserved(Runnable task) {
            boolean added = false;
            try {
                added = super.offer(task);
            } finally {
                if (!added) {
                    free.getAndIncrement();
                }
            }
            return added;
        }
    }
}
