package org.httpkit.server;

import clojure.lang.IFn;

/**
 * The callbacks of one channel, each set at most once, and how the channel ended.
 *
 * <p>Close callbacks run exactly once: when the channel ends, or at once on the thread that sets them later. None runs under the
 * lock, as they are user code.
 */
final class ChannelCallbacks {
    private IFn receive;
    private IFn ping;
    private IFn pong;
    private IFn close;
    private IFn closeRing;
    private boolean closed;
    private int status;
    private int ringStatus;
    private String reason;

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
        synchronized (this) {
            refuseSecond("close", close);
            close = callback;
            if (!closed) {
                return;
            }
        }
        callback.invoke(CloseStatus.keyword(status));
    }

    void setCloseRing(IFn callback) {
        synchronized (this) {
            refuseSecond("close ring", closeRing);
            closeRing = callback;
            if (!closed) {
                return;
            }
        }
        callback.invoke(ringStatus, reason);
    }

    synchronized boolean hasClose() {
        return close != null || closeRing != null;
    }

    /** Ends the channel: {@code on-close} callbacks get {@code closeStatus}, Ring listeners {@code code} and {@code text}. */
    void closed(int closeStatus, int code, String text) {
        IFn onClose;
        IFn onCloseRing;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            status = closeStatus;
            ringStatus = code;
            reason = text;
            onClose = close;
            onCloseRing = closeRing;
        }
        try {
            if (onClose != null) {
                onClose.invoke(CloseStatus.keyword(closeStatus));
            }
        } finally {
            if (onCloseRing != null) {
                onCloseRing.invoke(code, text);
            }
        }
    }

    private static void refuseSecond(String kind, IFn existing) {
        if (existing != null) {
            throw new IllegalStateException(kind + " handler exist: " + existing);
        }
    }
}
