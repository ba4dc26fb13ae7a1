package org.httpkit.server;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.httpkit.engine.Native;
import org.httpkit.engine.ResponseWriter;
import org.httpkit.engine.Scratch;

/**
 * Moves a body that is read piece by piece to the client, no faster than the client takes it.
 *
 * <p>Runs on a thread until the engine's window is full, then lets the thread go and is submitted again when there is room. Whatever
 * ends it, the source is closed once, and an answer that could not be completed never looks complete.
 */
final class StreamPump extends ServerTask implements ExchangeListener {
    /** How many pieces an engine thread moves before it leaves the rest to the pool: a client as fast as the body keeps it busy. */
    private static final int PIECES_IN_PLACE = 16;

    private enum State {
        RUNNING,
        /** The window is full; {@code writable} will submit the pump. */
        PARKED,
        /** {@code writable} came before the thread that met the full window could park. */
        RESUMED,
    }

    private final RingApplication application;
    private final AsyncChannel channel;
    private final BodySource source;
    /** What the handler declared and the head says, or {@link ResponseWriter#NO_LENGTH}. */
    private final long declared;
    /** Bytes given to the engine. One thread at a time runs the pump, and {@code state} hands it on. */
    private long moved;
    private final AtomicReference<State> state = new AtomicReference<>(State.RUNNING);
    private final AtomicBoolean ended = new AtomicBoolean();

    StreamPump(RingApplication application, AsyncChannel channel, BodySource source, long declared) {
        this.application = application;
        this.channel = channel;
        this.source = source;
        this.declared = declared;
    }

    /** Starts the answer with its head and first piece, and goes on with the rest, for which it uses the same array. */
    void start(byte[] head, int headLength, byte[] piece, int count, boolean inPlace) {
        application.register(channel, this);
        int sent;
        try {
            sent = Native.startStream(channel.connection(), channel.exchange(), head, headLength);
        } catch (Throwable e) {
            application.unregister(channel, this);
            throw e;
        }
        try {
            moved = count;
            if (sent != Native.NOT_OPEN) {
                sent = Native.send(channel.connection(), channel.exchange(), piece, 0, count, false);
            }
        } catch (Throwable e) {
            // The head is out: what is left is to cut the answer.
            fail(e);
            return;
        }
        if (sent == Native.NOT_OPEN) {
            end();
        } else if (sent == Native.ACCEPTED || !park()) {
            pump(piece, inPlace ? PIECES_IN_PLACE : Integer.MAX_VALUE);
        }
    }

    @Override
    void perform() {
        byte[] piece;
        try {
            piece = Scratch.take();
        } catch (Throwable noMemory) {
            fail(noMemory);
            return;
        }
        try {
            pump(piece, Integer.MAX_VALUE);
        } finally {
            Scratch.give(piece);
        }
    }

    @Override
    public void writable() {
        if (state.compareAndSet(State.PARKED, State.RUNNING)) {
            execute(this);
        } else {
            state.compareAndSet(State.RUNNING, State.RESUMED);
        }
    }

    @Override
    public void closed(int cause) {
        // Closing is user code. It also wakes a thread that waits in read for a body nobody wants any more.
        execute(ServerTask.of(this::end));
    }

    /** What nobody can run fails the answer: no later news would come to go on. */
    private void execute(ServerTask task) {
        try {
            application.execute(task);
        } catch (Throwable failure) {
            fail(failure);
        }
    }

    private void pump(byte[] piece, int pieces) {
        try {
            for (int turn = 0; !ended.get(); turn++) {
                if (turn == pieces) {
                    application.execute(this);
                    return;
                }
                int count = source.read(piece);
                moved += Math.max(count, 0);
                checkLength(declared, moved, count < 0);
                int sent = Native.send(
                    channel.connection(), channel.exchange(), piece, 0, Math.max(count, 0), count < 0);
                if (count < 0 || sent == Native.NOT_OPEN) {
                    end();
                } else if (sent == Native.FULL && park()) {
                    return;
                }
            }
        } catch (Throwable failure) {
            fail(failure);
        }
    }

    /** Throws an IOException if a body of so many bytes so far cannot have, or with {@code ended} does not have, the declared length. */
    static void checkLength(long declared, long bytes, boolean ended) throws IOException {
        if (declared != ResponseWriter.NO_LENGTH && (ended ? bytes != declared : bytes > declared)) {
            throw new IOException("Content-Length is " + declared + ", but the body has "
                + (bytes < declared ? "only " + bytes : "more") + " bytes");
        }
    }

    /** Returns true if the pump is parked, false if there is room again already. */
    private boolean park() {
        if (state.compareAndSet(State.RUNNING, State.PARKED)) {
            return true;
        }
        state.set(State.RUNNING);
        return false;
    }

    private void fail(Throwable failure) {
        if (!ended.get()) {
            try {
                application.telemetry().error(channel.requestLine(), failure);
            } finally {
                // First, so that the end it makes is no news for this pump.
                application.unregister(channel, this);
                Native.abort(channel.connection(), channel.exchange());
                end();
            }
        }
    }

    private void end() {
        if (ended.compareAndSet(false, true)) {
            application.unregister(channel, this);
            application.close(source);
        }
    }
}
