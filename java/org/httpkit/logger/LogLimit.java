package org.httpkit.logger;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * A printer of log entries that says the same only so often: what a client can cause at will must not fill a disk.
 *
 * <p>Of each cause ten entries a second are printed and the others counted; a line tells their number when the second is over. A cause is the
 * class of the exception and the first word of the message, which says what failed; what follows may be the client's.
 */
public final class LogLimit implements ContextLogger<String, Throwable> {
    private static final int ENTRIES = 10;
    /** More share one: what the first word is should not be up to a client, but this does not rely on it. */
    private static final int CAUSES = 100;
    private static final String ANY = "";
    private static final long PERIOD_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final ContextLogger<String, Throwable> printer;
    private final LongSupplier clock;
    private final Executor later;
    private final Map<String, Cause> causes = new HashMap<>();

    private static final class Cause {
        private long begun;
        private int printed;
        private int more;
        private String last;
    }

    /** Limits the entries of {@code printer}. */
    public LogLimit(ContextLogger<String, Throwable> printer) {
        this(printer, System::nanoTime, CompletableFuture.delayedExecutor(PERIOD_NANOS, TimeUnit.NANOSECONDS));
    }

    /** With a clock of nanoseconds, and what runs a task a second later. */
    LogLimit(ContextLogger<String, Throwable> printer, LongSupplier clock, Executor later) {
        this.printer = printer;
        this.clock = clock;
        this.later = later;
    }

    @Override
    public void log(String message, Throwable error) {
        if (admits(message, error)) {
            printer.log(message, error);
        }
    }

    private synchronized boolean admits(String message, Throwable error) {
        Cause cause = cause(message, error);
        long now = clock.getAsLong();
        if (cause.printed == 0 || now - cause.begun >= PERIOD_NANOS) {
            cause.begun = now;
            cause.printed = 0;
        }
        if (cause.printed < ENTRIES) {
            cause.printed++;
            return true;
        }
        cause.last = error == null ? message : message + " (" + error + ")";
        if (cause.more++ == 0) {
            try {
                later.execute(() -> tell(cause));
            } catch (OutOfMemoryError noThread) {
                cause.more = 0;
            }
        }
        return false;
    }

    private Cause cause(String message, Throwable error) {
        int end = message == null ? -1 : message.indexOf(' ');
        String word = end < 0 ? message : message.substring(0, end);
        String key = (error == null ? "" : error.getClass().getName()) + ' ' + word;
        Cause known = causes.get(key);
        return known != null ? known : causes.computeIfAbsent(causes.size() < CAUSES ? key : ANY, any -> new Cause());
    }

    private void tell(Cause cause) {
        String text;
        synchronized (this) {
            text = cause.more + " more like this in the last second: " + cause.last;
            cause.more = 0;
        }
        printer.log(text, null);
    }
}
