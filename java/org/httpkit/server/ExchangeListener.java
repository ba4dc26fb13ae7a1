package org.httpkit.server;

/** Hears what becomes of an exchange that outlives its request. Called on engine threads: must not block or run user code. */
interface ExchangeListener {
    /** After {@code Native.FULL}, there is room again. */
    void writable();

    /** The connection has gone before the exchange was finished; {@code cause} is a constant of Application. */
    void closed(int cause);
}
