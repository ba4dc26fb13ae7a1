package org.httpkit.server;

/** The engine's handle of an exchange, as a map key. */
final class ExchangeKey {
    private final long connection;
    private final int exchange;

    ExchangeKey(long connection, int exchange) {
        this.connection = connection;
        this.exchange = exchange;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ExchangeKey
            && ((ExchangeKey) other).connection == connection
            && ((ExchangeKey) other).exchange == exchange;
    }

    @Override
    public int hashCode() {
        return Long.hashCode(connection) * 31 + exchange;
    }
}
