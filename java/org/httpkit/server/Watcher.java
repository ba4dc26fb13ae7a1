package org.httpkit.server;

/** Waits for the loss of a channel's connection. */
final class Watcher implements ExchangeListener {
    private final AsyncChannel channel;

    Watcher(AsyncChannel channel) {
        this.channel = channel;
    }

    @Override
    public void writable() {
        channel.writable();
    }

    @Override
    public void closed(int cause) {
        channel.lose(cause);
    }
}
