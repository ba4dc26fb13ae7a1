package org.httpkit;

import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Makes daemon threads named by a prefix and a number from 1.
 *
 * <p>Of the thread that asks for one they inherit the context class loader alone: it may be one of the engine's, on which handlers have run.
 */
public class PrefixThreadFactory implements ThreadFactory {
    private final AtomicInteger made = new AtomicInteger();
    private final String prefix;

    /** Names threads {@code prefix1}, {@code prefix2} and so on. */
    public PrefixThreadFactory(String prefix) {
        this.prefix = prefix;
    }

    @Override
    public Thread newThread(Runnable task) {
        Thread thread = new Thread(null, task, prefix + made.incrementAndGet(), 0, false);
        thread.setContextClassLoader(Thread.currentThread().getContextClassLoader());
        thread.setPriority(Thread.NORM_PRIORITY);
        thread.setDaemon(true);
        return thread;
    }
}
