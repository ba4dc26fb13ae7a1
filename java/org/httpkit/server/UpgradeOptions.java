package org.httpkit.server;

import org.httpkit.engine.Native;

/** How one WebSocket differs from what {@code run-server} was told and from http-kit's ways. Immutable. */
public final class UpgradeOptions {
    /** The server's limit of a message, no limit to silence, pongs by the engine, and http-kit's ways. */
    public static final UpgradeOptions DEFAULT = new UpgradeOptions(0, 0, 0, false, false);

    final int flags;
    final int maxMessage;
    final int idleMillis;
    final boolean orderedClose;
    final boolean rawCloseCodes;

    private UpgradeOptions(int flags, int maxMessage, int idleMillis, boolean orderedClose, boolean rawCloseCodes) {
        this.flags = flags;
        this.maxMessage = maxMessage;
        this.idleMillis = idleMillis;
        this.orderedClose = orderedClose;
        this.rawCloseCodes = rawCloseCodes;
    }

    /** Leaves pings to the ping callback, which sends the pong. */
    public UpgradeOptions ownPong() {
        return new UpgradeOptions(flags | Native.UPGRADE_OWN_PONG, maxMessage, idleMillis, orderedClose, rawCloseCodes);
    }

    /** Refuses messages of more than so many bytes; 0 is the server's limit. */
    public UpgradeOptions maxMessage(int bytes) {
        return new UpgradeOptions(flags, notNegative("maxMessage", bytes), idleMillis, orderedClose, rawCloseCodes);
    }

    /** Closes the WebSocket after so many milliseconds without a frame in either direction; 0 is never. */
    public UpgradeOptions idleMillis(int millis) {
        return new UpgradeOptions(flags, maxMessage, notNegative("idleMillis", millis), orderedClose, rawCloseCodes);
    }

    /**
     * Has close callbacks run after the last message callback has returned, not as soon as the client has gone. Messages then wait for
     * their callback until the handler has returned, however many they are.
     */
    public UpgradeOptions orderedClose() {
        return new UpgradeOptions(flags, maxMessage, idleMillis, true, rawCloseCodes);
    }

    /** Has Ring's close callback hear 1006 when the client vanished, where http-kit says 1001. */
    public UpgradeOptions rawCloseCodes() {
        return new UpgradeOptions(flags, maxMessage, idleMillis, orderedClose, true);
    }

    private static int notNegative(String name, int value) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " must not be negative, got " + value);
        }
        return value;
    }
}
