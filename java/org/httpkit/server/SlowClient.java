package org.httpkit.server;

/** What {@code send!} does when a client takes less than it is sent: the option {@code :slow-client}. */
public enum SlowClient {
    /** Goes on, until more waits than may: then the engine closes the channel. */
    CLOSE,
    /** Waits until the client has taken enough. */
    BLOCK,
    /** Leaves WebSocket messages out until the client has taken enough. As CLOSE for other channels. */
    DROP,
}
