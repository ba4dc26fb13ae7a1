package org.httpkit.server;

import java.util.concurrent.TimeUnit;

/** Counts the close callbacks that are owed: those of ended channels that have not run yet. A server that stops waits for them. */
final class CloseTasks {
    private int owed;

    /** One more is owed, until {@link #settle}. */
    synchronized void owe() {
        owed++;
    }

    /** One has run. */
    synchronized void settle() {
        if (--owed == 0) {
            notifyAll();
        }
    }

    /** Waits until none is owed, for so many nanoseconds at most. */
    synchronized void await(long nanos) throws InterruptedException {
        long deadline = System.nanoTime() + nanos;
        while (owed > 0) {
            long left = deadline - System.nanoTime();
            if (left <= 0) {
                return;
            }
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
    }
}
