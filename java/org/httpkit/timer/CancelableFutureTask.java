package org.httpkit.timer;

import clojure.lang.IFn;
import java.util.PriorityQueue;
import java.util.concurrent.atomic.AtomicBoolean;

/** A function that a {@link TimerService} calls once, unless it is cancelled before. Ordered by the time it is due. */
public class CancelableFutureTask implements Comparable<CancelableFutureTask> {
    /** When it is due, in milliseconds of the epoch. */
    public final long timeoutTs;

    private final int timeout;
    private final IFn function;
    private final PriorityQueue<CancelableFutureTask> queue;
    /** Whoever sets it decides what becomes of the task: the timer by running it, or one caller by cancelling it. */
    private final AtomicBoolean done = new AtomicBoolean();

    /** Makes a task due in that many milliseconds; who cancels it takes it out of the queue. */
    public CancelableFutureTask(int timeout, IFn function, PriorityQueue<CancelableFutureTask> queue) {
        this.timeoutTs = System.currentTimeMillis() + timeout;
        this.timeout = timeout;
        this.function = function;
        this.queue = queue;
    }

    /** Calls the function, unless it was called or cancelled before. */
    public void runTask() {
        if (done.compareAndSet(false, true)) {
            function.invoke();
        }
    }

    /** Returns true if this call is what keeps the function from being called. */
    public boolean cancel() {
        if (!done.compareAndSet(false, true)) {
            return false;
        }
        synchronized (queue) {
            boolean awaited = queue.peek() == this;
            queue.remove(this);
            if (awaited) {
                // The timer waits for this task: it must look for another, or begin to be idle.
                queue.notifyAll();
            }
        }
        return true;
    }

    @Override
    public int compareTo(CancelableFutureTask other) {
        return Long.compare(timeoutTs, other.timeoutTs);
    }

    @Override
    public String toString() {
        String state = done.get() ? "done or canceled" : "due in " + (timeoutTs - System.currentTimeMillis()) + "ms";
        return "timeout=" + timeout + "ms, " + state;
    }
}
