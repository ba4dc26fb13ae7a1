package org.httpkit.logger;

import java.util.Date;

/** Takes log entries: what happened, and the context it happened in (mostly an exception). */
public interface ContextLogger<X, Y> {
    /** Prints errors with their stack trace to the standard error stream, ten of a kind a second. */
    ContextLogger<String, Throwable> ERROR_PRINTER = new LogLimit((message, error) -> {
        synchronized (System.err) {
            System.err.printf("%s [%s] ERROR - %s%n", new Date(), Thread.currentThread().getName(), message);
            if (error != null) {
                error.printStackTrace();
            }
        }
    });

    /** Takes one entry. */
    void log(X event, Y context);
}
