package org.httpkit.server;

import java.util.concurrent.atomic.LongAdder;
import org.httpkit.logger.ContextLogger;
import org.httpkit.logger.EventLogger;
import org.httpkit.logger.EventNames;

/** Passes log entries and events to the user's loggers, and survives whatever they throw. */
public final class Telemetry {
    private final ContextLogger<String, Throwable> errorLogger;
    private final ContextLogger<String, Throwable> warnLogger;
    private final EventLogger<String> eventLogger;
    private final EventNames names;
    private final LongAdder refused = new LongAdder();

    /** Logs to the given loggers, with events under the given names. */
    public Telemetry(
        ContextLogger<String, Throwable> errorLogger,
        ContextLogger<String, Throwable> warnLogger,
        EventLogger<String> eventLogger,
        EventNames names) {
        this.errorLogger = errorLogger;
        this.warnLogger = warnLogger;
        this.eventLogger = eventLogger;
        this.names = names;
    }

    /** Returns the names of events. */
    EventNames names() {
        return names;
    }

    /** Returns false if events go nowhere. */
    boolean hasEvents() {
        return eventLogger != EventLogger.NOP;
    }

    /** Counts a request refused because the pool took no more. */
    void countRefused() {
        refused.increment();
    }

    long refused() {
        return refused.sum();
    }

    void error(String message, Throwable error) {
        log(errorLogger, message, error);
    }

    void warn(String message, Throwable error) {
        log(warnLogger, message, error);
    }

    void event(String name) {
        try {
            eventLogger.log(name);
        } catch (Throwable ignored) {
            // A logger must not stop the server; http-kit swallows this too.
        }
    }

    /** Logs the event of a response a handler returned. */
    void processed(int status) {
        if (hasEvents()) {
            event(names.serverStatusPrefix + status);
        }
    }

    /** An entry that the user's logger throws at is printed, with what it threw: else nobody would learn of either. */
    private static void log(ContextLogger<String, Throwable> logger, String message, Throwable error) {
        try {
            logger.log(message, error);
        } catch (Throwable failure) {
            try {
                ContextLogger.ERROR_PRINTER.log(message, error);
                ContextLogger.ERROR_PRINTER.log("a logger threw at this entry", failure);
            } catch (Throwable ignored) {
                // As in event.
            }
        }
    }
}
