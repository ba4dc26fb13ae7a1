package org.httpkit.server;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.Objects;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.httpkit.engine.Native;

/**
 * The body of a request, read while it arrives: what is not read waits at the client, but for some 256 KiB.
 *
 * <p>Reading blocks until there is more. It throws an IOException once the client has gone, once what it sends is refused (400, 408,
 * 413), and once the request has been answered. Threads take turns; {@link #close} wakes the one that waits.
 */
public final class StreamedBody extends InputStream {
    private final RingApplication application;
    private final ExchangeKey exchange;
    private final Semaphore news = new Semaphore(0);
    private final Lock reading = new ReentrantLock();
    private byte[] piece = {};
    private int position;
    private boolean complete;
    private volatile boolean closed;

    StreamedBody(RingApplication application, ExchangeKey exchange) {
        this.application = application;
        this.exchange = exchange;
    }

    /** More has come, or nothing more will. */
    void readable() {
        news.release();
    }

    @Override
    public int read() throws IOException {
        reading.lock();
        try {
            return hasMore() ? piece[position++] & 0xff : -1;
        } finally {
            reading.unlock();
        }
    }

    @Override
    public int read(byte[] target, int offset, int count) throws IOException {
        Objects.checkFromIndexSize(offset, count, target.length);
        if (count == 0) {
            return 0;
        }
        reading.lock();
        try {
            if (!hasMore()) {
                return -1;
            }
            int taken = Math.min(count, piece.length - position);
            System.arraycopy(piece, position, target, offset, taken);
            position += taken;
            return taken;
        } finally {
            reading.unlock();
        }
    }

    /** Returns the number of bytes that can be read without asking the engine. */
    @Override
    public int available() {
        if (!reading.tryLock()) {
            return 0;
        }
        try {
            return closed ? 0 : piece.length - position;
        } finally {
            reading.unlock();
        }
    }

    /** Ends reading. If the client still has more to send its connection closes after the answer. */
    @Override
    public void close() {
        closed = true;
        news.release();
    }

    private boolean hasMore() throws IOException {
        checkOpen();
        if (position == piece.length && !complete) {
            piece = next();
            position = 0;
            complete = piece.length == 0;
        }
        return position < piece.length;
    }

    private void checkOpen() throws IOException {
        if (closed) {
            throw new IOException("Stream closed");
        }
    }

    private byte[] next() throws IOException {
        application.register(exchange, this);
        try {
            while (true) {
                byte[] next = Native.receive(exchange.connection(), exchange.exchange());
                checkOpen();
                if (next != null) {
                    return next;
                }
                news.acquire();
            }
        } catch (InterruptedException interrupt) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while the request body was read");
        } finally {
            application.unregister(exchange, this);
        }
    }
}
