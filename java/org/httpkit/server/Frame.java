package org.httpkit.server;

/** A WebSocket frame with its payload. Users make {@link PingFrame} and {@link PongFrame} to send them by {@code send!}. */
public abstract class Frame {
    /** The payload, unmasked. */
    public final byte[] data;

    Frame(byte[] data) {
        this.data = data;
    }

    /** A ping: asks the client for a pong with the same payload, of at most 125 bytes. */
    public static class PingFrame extends Frame {
        /** Makes a ping. */
        public PingFrame(byte[] data) {
            super(data);
        }
    }

    /** A pong: answers a ping, or tells the client unasked that the server lives. */
    public static class PongFrame extends Frame {
        /** Makes a pong. */
        public PongFrame(byte[] data) {
            super(data);
        }
    }
}
