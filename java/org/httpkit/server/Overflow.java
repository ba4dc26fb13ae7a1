package org.httpkit.server;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Runs the server's own tasks where the pool takes no more: an on-close is owed to whoever has set it.
 *
 * <p>When the machine has no thread to give either, or the JVM no memory, tasks wait until it has, in a line that needs none: {@link #serve}
 * tries again and again, on a thread that was there before.
 */
final class Overflow {
    /** Enough that callbacks that block do not hold up the others, few enough for a server with many open channels to stop. */
    private static final int THREADS = 64;
    /** Soon for the one who waits, seldom for a machine in need. */
    private static final int RETRY_MILLIS = 100;

    private final ThreadPoolExecutor threads;
    private ServerTask first;
    private ServerTask last;
    private boolean stopped;

    Overflow(ThreadFactory factory) {
        threads = new ThreadPoolExecutor(THREADS, THREADS, 1, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), factory);
        threads.allowCoreThreadTimeOut(true);
    }

    /** Runs the task, as soon as there are a thread and memory. */
    void execute(ServerTask task) {
        try {
            task.submitTo(threads);
        } catch (OutOfMemoryError noThread) {
            // "unable to create native thread", or of the heap.
            add(task);
        }
    }

    /** Gets threads for the tasks that found none, until {@link #stop}. */
    void serve() throws InterruptedException {
        while (awaitTask()) {
            if (!startFirst()) {
                pause();
            }
        }
        boolean started = true;
        while (started && hasTask()) {
            started = startFirst();
        }
    }

    /** Has {@link #serve} return. */
    synchronized void stop() {
        stopped = true;
        notifyAll();
    }

    /** Returns false if there is no thread for the first task still. */
    private boolean startFirst() {
        ServerTask task = take();
        try {
            task.submitTo(threads);
            return true;
        } catch (Throwable noThread) {
            putBack(task);
            return false;
        }
    }

    private synchronized boolean hasTask() {
        return first != null;
    }

    /** Returns false once the server has stopped. */
    private synchronized boolean awaitTask() throws InterruptedException {
        while (first == null && !stopped) {
            wait();
        }
        return !stopped;
    }

    private synchronized void pause() throws InterruptedException {
        if (!stopped) {
            wait(RETRY_MILLIS);
        }
    }

    private synchronized void add(ServerTask task) {
        if (task.next != null || task == last) {
            // It waits already.
            return;
        }
        if (first == null) {
            first = task;
        } else {
            last.next = task;
        }
        last = task;
        notifyAll();
    }

    private synchronized ServerTask take() {
        ServerTask task = first;
        first = task.next;
        last = first == null ? null : last;
        task.next = null;
        return task;
    }

    private synchronized void putBack(ServerTask task) {
        task.next = first;
        first = task;
        last = last == null ? task : last;
    }
}
