package org.httpkit.server;

/** The engine's handle of an exchange, as a map key. A channel is that of its own. */
class ExchangeKey {
    private final long connection;
    private final int exchange;

    ExchangeKey(long connection, int exchange) {
        this.connection = connection;
        this.exchange = exchange;
    }

    final long connection() {
        return connection;
    }

    final int exchange() {
        return exchange;
    }

    @Override
    public final boolean equals(Object other) {
        return other instanceof ExchangeKey
            && ((ExchangeKey) other).connection == connection
            && ((ExchangeKey) other).exchange == exchange;
    }

    @Override
    public final int hashCode() {
        return Long.hashCode(connection) * 31 + exchange;
    }
}
