package org.httpkit.server;

import static java.nio.charset.StandardCharsets.UTF_8;

import clojure.lang.IFn;
import java.util.function.Supplier;
import org.httpkit.engine.Application;
import org.httpkit.engine.Native;

/**
 * What a channel is from its handshake on: where its messages come from and go to, and how it ends.
 *
 * <p>It ends once, by whichever is first: {@link #close}, or the engine's word in {@link #closed}. After the one the engine does not say the
 * other.
 */
final class WebSocket extends MessageQueue {
    private final boolean orderedClose;
    private final boolean rawCloseCodes;

    WebSocket(AsyncChannel channel, UpgradeOptions options) {
        super(channel);
        orderedClose = options.orderedClose;
        rawCloseCodes = options.rawCloseCodes;
    }

    /** The engine has room for more output. */
    void writable() {
        channel().writable();
    }

    /** Begins the closing handshake. Returns false if it had begun. Throws if no Close frame can say this. */
    boolean close(int code, String reason) {
        byte[] text = reason == null ? new byte[0] : reason.getBytes(UTF_8);
        return Native.closeWebSocket(channel().connection(), channel().exchange(), code, text) != Native.NOT_OPEN;
    }

    /** The engine's word that the WebSocket has ended, after so many messages. Nothing of the user's runs on this thread. */
    void closed(int kind, int code, String reason, int messagesInAll) {
        ChannelCallbacks.keepAddresses(channel().callbacks(), channel());
        closed(ending(kind, code, reason), messagesInAll);
    }

    /** As {@link #closed(int, int, String, int)}, with an end that was made before. */
    void closed(Ending ending, int messagesInAll) {
        if (endsAfter(messagesInAll)) {
            unregister();
        }
        if (channel().loseWebSocket()) {
            channel().oweCallbacks(ending);
        }
    }

    /** Returns the end of which the engine's word would be this. */
    Ending ending(int kind, int code, String reason) {
        boolean vanished = kind == Application.CLOSED_LOST;
        return new Ending(application(), this, CloseStatus.of(kind, code), vanished && !rawCloseCodes ? CloseStatus.GOING_AWAY : code,
            reason, kind == Application.CLOSED_VIOLATION ? new ProtocolException(code, reason) : null);
    }

    /** Returns true if its close callbacks run behind its messages. */
    boolean hasOrderedClose() {
        return orderedClose;
    }

    @Override
    boolean awaitsCallback() {
        // Set by those who give their callbacks with the handshake, the message's last.
        return orderedClose;
    }

    /** The pool takes no more messages: the client must not believe that they were read. */
    @Override
    void overloaded(Throwable rejection) {
        Telemetry telemetry = application().telemetry();
        telemetry.error("increase :queue-size if this happens often", rejection);
        telemetry.event(telemetry.names().serverStatus503Todo);
        giveUp(CloseStatus.OVERLOADED, "Server overloaded");
    }

    /** Closes after messages were lost. */
    @Override
    void giveUp(int code, String reason) {
        Ending ending = channel().ending(CloseStatus.SERVER, code, reason);
        if (channel().closeWebSocket(code, reason)) {
            channel().endedElsewhere(ending);
        }
    }

    /** A callback threw. The WebSocket stays open, as http-kit's does. */
    @Override
    void failed(Throwable failure, Supplier<String> message) {
        IFn callback = channel().callbacks().error();
        if (callback == null || !tell(callback, failure)) {
            Telemetry telemetry = application().telemetry();
            telemetry.error("handle websocket frame " + message.get(), failure);
            telemetry.event(telemetry.names().serverWsFrameError);
        }
    }

    /** The client broke the protocol, which is told before the end. */
    void violated(ProtocolException violation) {
        Telemetry telemetry = application().telemetry();
        // http-kit's entry has no message; its default logger prints the exception's.
        telemetry.warn(null, violation);
        telemetry.event(telemetry.names().serverWsDecodeError);
        IFn callback = channel().callbacks().error();
        if (callback != null) {
            tell(callback, violation);
        }
    }

    private boolean tell(IFn callback, Throwable what) {
        try {
            callback.invoke(what);
            return true;
        } catch (Throwable failure) {
            application().telemetry().error("websocket error handler", failure);
            return false;
        }
    }
}
