package org.httpkit.server;

import clojure.lang.IFn;
import java.io.IOException;
import java.util.function.Consumer;

/** The callbacks of one {@code sendThen}: made with the send, since the news that there is room must not fail for want of memory. */
final class SendReport extends ServerTask implements Consumer<Boolean> {
    private final RingApplication application;
    private final IFn accepted;
    private final IFn failed;
    private volatile boolean open;

    SendReport(RingApplication application, IFn accepted, IFn failed) {
        this.application = application;
        this.accepted = accepted;
        this.failed = failed;
    }

    /** The engine's thread, which brings the news, runs nothing of the user's. */
    @Override
    public void accept(Boolean outcome) {
        open = outcome;
        application.execute(this);
    }

    @Override
    void perform() {
        try {
            report(open, accepted, failed);
        } catch (Throwable failure) {
            application.telemetry().error("send! callback", failure);
        }
    }

    /** Calls the one callback or the other. */
    static void report(boolean open, IFn accepted, IFn failed) {
        if (open) {
            accepted.invoke();
        } else {
            failed.invoke(closed());
        }
    }

    private static Throwable closed() {
        try {
            return new IOException("The channel is closed");
        } catch (OutOfMemoryError noMemory) {
            return noMemory;
        }
    }
}
