package org.httpkit;

import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/** Makes daemon threads named by a prefix and a number from 1. */
public class PrefixThreadFactory implements ThreadFactory {
    private final AtomicInteger made = new AtomicInteger();
    private final String prefix;

    /** Names threads {@code prefix1}, {@code prefix2} and so on. */
    public PrefixThreadFactory(String prefix) {
        this.prefix = prefix;
    }

    @Override
    public Thread newThread(Runnable task) {
        Thread thread = new Thread(task, prefix + made.incrementAndGet());
        thread.setDaemon(true);
        return thread;
    }
}
