package org.httpkit.server;

import clojure.lang.ArityException;
import clojure.lang.IProxy;
import java.io.IOException;
import java.io.InputStream;

/**
 * An InputStream made by {@code proxy}. Such an object has one function for all methods of a name, and who knows how http-kit and Ring read
 * a body may have defined {@code read(byte[])} alone, others the method it would have called.
 */
public final class ProxiedStream extends InputStream {
    private static final int MOST = 8 * 1024;

    private final InputStream stream;
    /** It has no {@code read(byte[])}. */
    private boolean takesRegions;

    private ProxiedStream(InputStream stream) {
        this.stream = stream;
    }

    /** Returns the stream, as one of which every {@code read} can be called: the same unless it is a {@code proxy}. */
    public static InputStream readable(InputStream stream) {
        return stream instanceof IProxy ? new ProxiedStream(stream) : stream;
    }

    /** Returns what {@link #readable} was given. */
    static InputStream original(InputStream stream) {
        return stream instanceof ProxiedStream ? ((ProxiedStream) stream).stream : stream;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        int count = read(one, 0, 1);
        return count < 0 ? count : one[0] & 0xff;
    }

    @Override
    public int read(byte[] target, int offset, int count) throws IOException {
        if (!takesRegions) {
            try {
                return readWhole(target, offset, count);
            } catch (ArityException missing) {
                takesRegions = true;
            }
        }
        return stream.read(target, offset, count);
    }

    private int readWhole(byte[] target, int offset, int count) throws IOException {
        boolean whole = offset == 0 && count == target.length;
        byte[] piece = whole ? target : new byte[Math.min(count, MOST)];
        int taken = stream.read(piece);
        if (!whole && taken > 0) {
            System.arraycopy(piece, 0, target, offset, taken);
        }
        return taken;
    }

    @Override
    public int available() throws IOException {
        return stream.available();
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
