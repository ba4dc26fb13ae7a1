package org.httpkit.server;

import clojure.lang.IFn;
import org.httpkit.engine.Application;
import org.httpkit.engine.Native;

/**
 * The callbacks of one channel, each set at most once, and how the channel ended.
 *
 * <p>Close callbacks run exactly once: when the channel ends, or at once on the thread that sets them later. None runs under the
 * lock, as they are user code.
 */
final class ChannelCallbacks {
    private volatile IFn receive;
    private volatile IFn ping;
    private volatile IFn pong;
    private volatile IFn error;
    private IFn close;
    private IFn closeRing;
    /** Null until the channel ends. */
    private Ending end;
    /** What the channel prints as once it has ended: the engine forgets its connection. Null until then. */
    private volatile String addresses;

    synchronized void setReceive(IFn callback) {
        refuseSecond("receive", receive);
        receive = callback;
    }

    synchronized void setPing(IFn callback) {
        refuseSecond("ping", ping);
        ping = callback;
    }

    synchronized void setPong(IFn callback) {
        refuseSecond("pong", pong);
        pong = callback;
    }

    void setClose(IFn callback) {
        Ending ended;
        synchronized (this) {
            refuseSecond("close", close);
            close = callback;
            ended = end;
        }
        if (ended != null) {
            ended.tell(callback);
        }
    }

    void setCloseRing(IFn callback) {
        Ending ended;
        synchronized (this) {
            refuseSecond("close ring", closeRing);
            closeRing = callback;
            ended = end;
        }
        if (ended != null) {
            ended.tellRing(callback);
        }
    }

    synchronized void setError(IFn callback) {
        refuseSecond("error", error);
        error = callback;
    }

    /** Returns the callback for messages of this kind, a MESSAGE constant of Application, or null. */
    IFn message(int opcode) {
        switch (opcode) {
            case Application.MESSAGE_PING:
                return ping;
            case Application.MESSAGE_PONG:
                return pong;
            default:
                return receive;
        }
    }

    /** Returns the callback for what goes wrong, or null. */
    IFn error() {
        return error;
    }

    /** Keeps the addresses of a channel that ends, if it has close callbacks to be told. */
    static void keepAddresses(ChannelCallbacks callbacks, ExchangeKey channel) {
        if (callbacks != null && callbacks.addresses == null && callbacks.hasClose()) {
            callbacks.addresses = addresses(channel);
        }
    }

    /** Returns the local and the client's address: those that were kept, or else what the engine says. */
    static String addresses(ChannelCallbacks callbacks, ExchangeKey channel) {
        String kept = callbacks == null ? null : callbacks.addresses;
        return kept == null ? addresses(channel) : kept;
    }

    private static String addresses(ExchangeKey channel) {
        return Native.localAddress(channel.connection()) + "<->" + Native.remoteAddress(channel.connection());
    }

    synchronized boolean hasClose() {
        return close != null || closeRing != null;
    }

    /** Ends the channel, unless it has ended. Returns true if the ending has something to tell, as to close callbacks that were set. */
    synchronized boolean end(Ending ending) {
        if (end != null) {
            return false;
        }
        end = ending;
        return ending.take(close, closeRing);
    }

    private static void refuseSecond(String kind, IFn existing) {
        if (existing != null) {
            throw new IllegalStateException(kind + " handler exist: " + existing);
        }
    }
}
