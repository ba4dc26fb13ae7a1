package org.httpkit.server;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Objects;
import org.httpkit.engine.Native;
import org.httpkit.engine.Scratch;

/**
 * The answer of one exchange as an OutputStream. What is closed before a piece is full, and was not flushed, goes out as one answer
 * with its length.
 *
 * <p>A writer that is faster than the client waits. After the client has gone every write throws.
 */
final class BodyOutputStream extends OutputStream implements ExchangeListener {
    private static final int INITIAL_SIZE = 4 * 1024;

    private final RingApplication application;
    private final AsyncChannel channel;
    private final byte[] head;
    /** What the handler declared and the head says, or NO_LENGTH of ResponseWriter. */
    private final long declared;
    private long moved;
    private byte[] piece = new byte[INITIAL_SIZE];
    private int count;
    private boolean started;
    private boolean ended;
    private boolean lost;
    /** Set by the engine's word that there is room again, which may come before the call that met the full window returns. */
    private boolean resumed = true;

    /** Takes a complete head, for an exchange that has been claimed, whose listener it is to be. */
    BodyOutputStream(RingApplication application, AsyncChannel channel, byte[] head, long declared) {
        this.application = application;
        this.channel = channel;
        this.head = head;
        this.declared = declared;
    }

    @Override
    public synchronized void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) throws IOException {
        Objects.checkFromIndexSize(offset, length, bytes.length);
        checkOpen();
        int at = offset;
        while (at < offset + length) {
            if (count == Scratch.SIZE) {
                send(false);
                checkOpen();
            }
            int part = Math.min(offset + length - at, Scratch.SIZE - count);
            if (count + part > piece.length) {
                piece = Arrays.copyOf(piece, Math.min(Scratch.SIZE, Math.max(2 * piece.length, count + part)));
            }
            System.arraycopy(bytes, at, piece, count, part);
            count += part;
            at += part;
        }
    }

    /** Sends what there is; at the beginning at least the head, which a client may be waiting for (an EventSource opens with it). */
    @Override
    public synchronized void flush() throws IOException {
        if (!ended && (count > 0 || !started)) {
            send(false);
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (ended) {
            return;
        }
        end();
        if (started) {
            try {
                send(true);
            } finally {
                // Not before: to send may mean to wait for the engine's word.
                application.unregister(channel, this);
            }
        } else {
            application.unregister(channel, this);
            Native.respondBytes(channel.connection(), channel.exchange(), head, head.length, piece, 0, count);
        }
    }

    /** Returns true if the client has gone. */
    synchronized boolean isLost() {
        return lost;
    }

    /** Gives the answer up. Returns true if nothing of it was sent, so that another can be given; else {@link #cut} ends it. */
    synchronized boolean abandon() {
        if (ended) {
            return false;
        }
        end();
        application.unregister(channel, this);
        return !started;
    }

    /** Cuts the connection, if the answer is not complete: nothing that is not must look so. */
    void cut() {
        Native.abort(channel.connection(), channel.exchange());
    }

    @Override
    public synchronized void writable() {
        resumed = true;
        notifyAll();
    }

    @Override
    public synchronized void closed(int cause) {
        lost = true;
        notifyAll();
    }

    private void checkOpen() throws IOException {
        if (ended) {
            throw new IOException("The stream is closed");
        }
    }

    /** Takes nothing more. Threads that wait with what they have leave it to the one that closes. */
    private void end() {
        ended = true;
        notifyAll();
    }

    private void send(boolean finish) throws IOException {
        awaitRoom(finish);
        // Not before: while a thread waits another may send what there is, or close.
        if (started && !finish && (ended || count == 0)) {
            return;
        }
        try {
            StreamPump.checkLength(declared, moved + count, finish);
        } catch (IOException mismatch) {
            if (started) {
                end();
                application.unregister(channel, this);
                cut();
            }
            throw mismatch;
        }
        if (!started) {
            started = true;
            int sent = Native.startStream(channel.connection(), channel.exchange(), head, head.length);
            if (sent != Native.NOT_OPEN && count == 0 && !finish) {
                return;
            }
        }
        resumed = false;
        int sent = Native.send(channel.connection(), channel.exchange(), piece, 0, count, finish);
        if (sent == Native.NOT_OPEN) {
            lost = true;
            throw new IOException("The client has gone");
        }
        moved += count;
        count = 0;
        resumed |= sent == Native.ACCEPTED;
    }

    private void awaitRoom(boolean finish) throws IOException {
        while (!resumed && !lost && (finish || !ended)) {
            try {
                wait();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("Interrupted while the client takes no more");
            }
        }
    }
}
