package org.httpkit.timer;

import clojure.lang.IFn;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Date;
import java.util.PriorityQueue;
import java.util.concurrent.TimeUnit;

/**
 * Calls functions later, one after the other, on one thread that exists while there is something to wait for.
 *
 * <p>The thread is not a daemon: a JVM whose main thread has ended still runs what was scheduled.
 */
public class TimerService {
    /** A literal: {@link #SERVICE} is made before a static that must be computed has its value. */
    private static final long IDLE_MILLIS = 120_000;

    /** The one that {@code org.httpkit.timer} uses. */
    public static final TimerService SERVICE = new TimerService();

    /** By due time. Its monitor guards the thread as well. */
    private final PriorityQueue<CancelableFutureTask> queue = new PriorityQueue<>();
    private final long idleMillis;
    /** Null while there is none; the next task starts one. */
    private Thread thread;

    /** Makes a service without a thread; the first task starts one. */
    public TimerService() {
        this(IDLE_MILLIS);
    }

    TimerService(long idleMillis) {
        this.idleMillis = idleMillis;
    }

    /** Calls the function in that many milliseconds, as soon as possible for 0 or less. */
    public CancelableFutureTask scheduleTask(int timeout, IFn function) {
        CancelableFutureTask task = new CancelableFutureTask(timeout, function, queue);
        synchronized (queue) {
            if (thread == null) {
                // Before the task is queued: without a thread the caller gets the error and no task.
                thread = startThread();
            }
            queue.add(task);
            queue.notifyAll();
        }
        return task;
    }

    private Thread startThread() {
        Thread started = new Thread(this::run, "timer-service");
        // A daemon's threads are daemons, and every virtual thread is one.
        started.setDaemon(false);
        started.start();
        return started;
    }

    private void run() {
        for (CancelableFutureTask task = next(); task != null; task = next()) {
            try {
                task.runTask();
            } catch (Throwable e) {
                report(task, e);
            }
        }
    }

    /** Waits for the next task that is due. Returns null when there was none to wait for in the idle time: the thread ends. */
    private CancelableFutureTask next() {
        synchronized (queue) {
            long idleSince = System.nanoTime();
            while (true) {
                CancelableFutureTask first = queue.peek();
                long millis;
                if (first == null) {
                    millis = idleMillis - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - idleSince);
                    if (millis <= 0) {
                        thread = null;
                        return null;
                    }
                } else {
                    millis = first.timeoutTs - System.currentTimeMillis();
                    if (millis <= 0) {
                        return queue.poll();
                    }
                }
                pause(millis);
                if (first != null) {
                    idleSince = System.nanoTime();
                }
            }
        }
    }

    /** Waits until another task is the first, or for that time. The caller looks again whatever ended the wait. */
    private void pause(long millis) {
        try {
            queue.wait(millis);
        } catch (InterruptedException ignored) {
            // Only a task can have interrupted this thread, which is no reason to drop the others.
        }
    }

    /** To stderr in one piece: other threads write there too. */
    private static void report(CancelableFutureTask task, Throwable error) {
        try {
            StringWriter text = new StringWriter();
            PrintWriter writer = new PrintWriter(text);
            writer.println(String.format("%s [%s] ERROR - In timer: %s", new Date(), Thread.currentThread().getName(), task));
            error.printStackTrace(writer);
            System.err.print(text);
        } catch (Throwable ignored) {
            // A throwable that cannot be printed does not cost the other tasks their timer.
        }
    }

    @Override
    public String toString() {
        synchronized (queue) {
            return "pending=" + queue.size() + ", thread started:" + (thread != null);
        }
    }
}
