package org.httpkit.engine;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * A pool that starts a thread rather than let a task wait, up to its largest number of threads, and queues only then.
 *
 * <p>A plain ThreadPoolExecutor grows only when its queue is full: two handlers that sleep on two cores would stall all others until
 * 20,480 requests wait.
 */
public final class GrowingPool extends ThreadPoolExecutor {
    private static final int KEEP_ALIVE_SECONDS = 60;

    /** Makes a pool of {@code minimum} to {@code maximum} threads before which at most {@code queueSize} tasks wait. */
    public GrowingPool(int minimum, int maximum, int queueSize, ThreadFactory factory) {
        super(minimum, maximum, KEEP_ALIVE_SECONDS, TimeUnit.SECONDS, new LastResortQueue(queueSize), factory, GrowingPool::queue);
        ((LastResortQueue) getQueue()).pool = this;
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

    /** Takes a task only if a thread is idle; the executor then tries to start one. */
    private static final class LastResortQueue extends ArrayBlockingQueue<Runnable> {
        private static final long serialVersionUID = 1L;

        private transient volatile ThreadPoolExecutor pool;

        LastResortQueue(int capacity) {
            super(capacity);
        }

        @Override
        public boolean offer(Runnable task) {
            ThreadPoolExecutor owner = pool;
            // Tasks that wait are as good as taken by the threads that are idle now.
            boolean idle = owner == null || owner.getActiveCount() + size() < owner.getPoolSize();
            return idle && super.offer(task);
        }

        boolean offerForced(Runnable task) {
            return super.offer(task);
        }
    }
}
