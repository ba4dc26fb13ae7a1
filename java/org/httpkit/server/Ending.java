package org.httpkit.server;

import clojure.lang.IFn;
import clojure.lang.Keyword;

/**
 * How a channel ended, and the close callbacks that are to hear of it, once, whoever runs them.
 *
 * <p>Made before the channel ends: from its end to its callbacks nothing may be allocated, as with a full heap they would be lost.
 */
final class Ending extends ServerTask {
    private final RingApplication application;
    /** Null if the channel is none. */
    private final WebSocket socket;
    private final Keyword status;
    private final Integer code;
    private final String reason;
    /** What the error handler hears before, or null. */
    private final ProtocolException violation;
    /** Where it waits behind the messages of a WebSocket, null if it does not. */
    final Message place;
    private IFn onClose;
    private IFn onCloseRing;

    /** On-close callbacks will get {@code closeStatus}, Ring listeners {@code code} and {@code reason}. */
    Ending(RingApplication application, WebSocket socket, int closeStatus, int code, String reason, ProtocolException violation) {
        this.application = application;
        this.socket = socket;
        this.status = CloseStatus.keyword(closeStatus);
        this.code = code;
        this.reason = reason;
        this.violation = violation;
        this.place = socket != null && socket.hasOrderedClose() ? Message.task(this) : null;
    }

    /** Takes the callbacks that were set before the end, null for none. Returns true if there is anything to tell. */
    boolean take(IFn close, IFn closeRing) {
        onClose = close;
        onCloseRing = closeRing;
        return close != null || closeRing != null || violation != null;
    }

    /** Tells a callback that is set after the end. */
    void tell(IFn close) {
        close.invoke(status);
    }

    /** Tells a Ring listener's callback that is set after the end. */
    void tellRing(IFn closeRing) {
        closeRing.invoke(code, reason);
    }

    /** Has the callbacks called where they hold nobody up; a stop waits for them. */
    void owe() {
        application.oweClose();
        if (place == null) {
            application.executeOwed(this);
        } else {
            socket.afterAll(this);
        }
    }

    /** Calls the callbacks that are owed; what they throw is reported. */
    @Override
    void perform() {
        try {
            if (violation != null) {
                socket.violated(violation);
            }
            call();
        } catch (Throwable failure) {
            application.reportCloseError(failure);
        } finally {
            application.settleClose();
        }
    }

    /** Calls the callbacks, and throws what they throw. */
    void call() {
        try {
            if (onClose != null) {
                tell(onClose);
            }
        } finally {
            if (onCloseRing != null) {
                tellRing(onCloseRing);
            }
        }
    }
}
