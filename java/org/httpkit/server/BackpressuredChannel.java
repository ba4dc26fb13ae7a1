package org.httpkit.server;

import clojure.lang.IFn;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import org.httpkit.engine.Native;

/** How a channel is sent to when its client takes less than it is sent: what {@code :slow-client} says, or what the sender asks for. */
public abstract class BackpressuredChannel extends ExchangeKey {
    private static final VarHandle WINDOW;

    static {
        try {
            WINDOW = MethodHandles.lookup().findVarHandle(BackpressuredChannel.class, "window", Window.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Made when a sender first has to wait. */
    private volatile Window window;
    /** What closed the window, made yet or not; null until the channel has ended. */
    private volatile Boolean windowEnd;

    BackpressuredChannel(long connection, int exchange) {
        super(connection, exchange);
    }

    abstract RingApplication application();

    /** Returns true if the channel has ended, whoever ended it. */
    public abstract boolean isClosed();

    /** Returns true if it is a WebSocket, of which single messages may be left out. */
    abstract boolean isUpgraded();

    /** Ends the channel. Returns false if it had ended before. */
    public abstract boolean serverClose(int status);

    /** Sends data without regard to what the client takes. Returns the engine's answer; beside those, anything means that it was sent. */
    abstract int transmit(Object data, boolean close) throws IOException;

    /**
     * Sends data and, with {@code close}, ends the answer. Returns false if the channel has ended. Throws what is wrong with the data;
     * the channel is then as it was. A client that takes less than it is sent is treated as the option {@code :slow-client} says.
     */
    public boolean send(Object data, boolean close) throws IOException {
        switch (application().slowClient()) {
            case BLOCK:
                return sendBlocking(data, close, 0);
            case DROP:
                return sendUnlessFull(data, close);
            default:
                return transmit(data, close) != Native.NOT_OPEN;
        }
    }

    /**
     * As {@link #send}, but waits until the data are within the window of what may wait for the client, whatever the option says. Returns
     * false if the channel had ended, or is cut or lost meanwhile. Throws IOException after {@code timeoutMillis} (0: never). Does not wait with
     * {@code close}, as nothing follows.
     */
    public boolean sendBlocking(Object data, boolean close, long timeoutMillis) throws IOException {
        int before = Window.count(window);
        int sent = transmit(data, close);
        return sent == Native.FULL ? window().await(before, timeoutMillis) : sent != Native.NOT_OPEN;
    }

    /**
     * As {@link #send}, without waiting: calls {@code accepted} with nothing once the data are within the window of what may wait for the
     * client, perhaps before this returns, or this side has ended the channel behind them; or {@code failed} with a Throwable if neither is
     * ever to be.
     */
    public void sendThen(Object data, boolean close, IFn accepted, IFn failed) {
        int before = Window.count(window);
        int sent;
        try {
            sent = transmit(data, close);
        } catch (Throwable failure) {
            failed.invoke(failure);
            return;
        }
        if (sent == Native.FULL) {
            window().whenRoom(before).thenAccept(new SendReport(application(), accepted, failed));
        } else {
            SendReport.report(sent != Native.NOT_OPEN, accepted, failed);
        }
    }

    /** The engine has room for more output. Also made here: a sender may not have found out yet that there was none. */
    void writable() {
        window().open();
    }

    /** The channel has ended, and {@code delivers} what was sent before: nobody is to wait any more. The first call counts. */
    final void closeWindow(boolean delivers) {
        if (windowEnd == null) {
            windowEnd = delivers;
        }
        Window made = window;
        if (made != null) {
            made.close(delivers);
        }
    }

    private boolean sendUnlessFull(Object data, boolean close) throws IOException {
        Window made = window;
        if (isUpgraded() && made != null && made.isFull()) {
            return !close || serverClose(CloseStatus.NORMAL);
        }
        int before = Window.count(made);
        int sent = transmit(data, close);
        if (sent == Native.FULL) {
            window().whenRoom(before);
        }
        return sent != Native.NOT_OPEN;
    }

    private Window window() {
        Window made = window;
        if (made == null) {
            WINDOW.compareAndSet(this, (Window) null, new Window());
            made = window;
            Boolean end = windowEnd;
            if (end != null) {
                made.close(end);
            }
        }
        return made;
    }
}
