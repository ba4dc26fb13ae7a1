package org.httpkit.server;

/** Waits for the loss of a channel's connection. Equal to the channel's other watchers, so that none needs to be kept. */
final class Watcher implements ExchangeListener {
    private final AsyncChannel channel;

    Watcher(AsyncChannel channel) {
        this.channel = channel;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Watcher && ((Watcher) other).channel == channel;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(channel);
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
