package org.httpkit.logger;

/** Takes events worth counting, by name. */
public interface EventLogger<T> {
    /** Ignores every event. */
    EventLogger<String> NOP = event -> {
    };

    /** Takes one event. */
    void log(T event);
}
