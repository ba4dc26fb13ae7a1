package org.httpkit.server;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Runs the server's own tasks where the pool takes no more: an on-close is owed to whoever has set it.
 *
 * <p>When the machine has no thread to give either, tasks wait until it has: {@link #serve} asks for one again and again, on a thread that
 * was there before.
 */
final class Overflow {
    /** Enough that callbacks that block do not hold up the others, few enough for a server with many open channels to stop. */
    private static final int THREADS = 64;
    /** Soon for the one who waits, seldom for a machine in need. */
    private static final int RETRY_MILLIS = 100;

    private final ThreadPoolExecutor threads;
    /** Something for {@link #serve} to look at. */
    private final Semaphore news = new Semaphore(0);
    private volatile boolean stopped;

    Overflow(ThreadFactory factory) {
        threads = new ThreadPoolExecutor(THREADS, THREADS, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), factory);
        threads.allowCoreThreadTimeOut(true);
    }

    /** Runs the task, as soon as there is a thread. */
    void execute(Runnable task) {
        try {
            threads.execute(task);
        } catch (OutOfMemoryError noThread) {
            threads.getQueue().add(task);
            news.release();
        }
    }

    /** Gets threads for the tasks that found none, until {@link #stop}. */
    void serve() throws InterruptedException {
        while (!stopped) {
            if (threads.getQueue().isEmpty()) {
                news.acquire();
            } else {
                startThread();
                news.tryAcquire(RETRY_MILLIS, TimeUnit.MILLISECONDS);
            }
        }
        if (!threads.getQueue().isEmpty()) {
            startThread();
        }
    }

    /** Has {@link #serve} return. */
    void stop() {
        stopped = true;
        news.release();
    }

    private void startThread() {
        try {
            threads.prestartCoreThread();
        } catch (OutOfMemoryError noThread) {
            // Then another time.
        }
    }
}
