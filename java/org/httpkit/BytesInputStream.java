package org.httpkit;

import java.io.InputStream;
import java.util.Arrays;
import java.util.Objects;

/**
 * The body of a request: a stream over bytes in memory that can be read again and again.
 *
 * <p>{@link #reset} without a {@link #mark} goes back to the start. Not synchronised.
 */
public class BytesInputStream extends InputStream {
    private final byte[] data;
    private final int length;
    private int position;
    private int mark;

    /** Streams the first {@code length} bytes of {@code data}, which is not copied. */
    public BytesInputStream(byte[] data, int length) {
        Objects.checkFromIndexSize(0, length, data.length);
        this.data = data;
        this.length = length;
    }

    /** Returns a copy of the whole content, whatever has been read. */
    public byte[] bytes() {
        return Arrays.copyOf(data, length);
    }

    /** Returns the number of bytes of the whole content. */
    public int getCount() {
        return length;
    }

    @Override
    public int read() {
        return position < length ? data[position++] & 0xff : -1;
    }

    @Override
    public int read(byte[] target) {
        return read(target, 0, target.length);
    }

    @Override
    public int read(byte[] target, int offset, int count) {
        Objects.checkFromIndexSize(offset, count, target.length);
        if (count == 0) {
            return 0;
        }
        if (position == length) {
            return -1;
        }
        int taken = Math.min(count, length - position);
        System.arraycopy(data, position, target, offset, taken);
        position += taken;
        return taken;
    }

    @Override
    public long skip(long count) {
        int skipped = (int) Math.max(0, Math.min(count, length - position));
        position += skipped;
        return skipped;
    }

    @Override
    public int available() {
        return length - position;
    }

    @Override
    public boolean markSupported() {
        return true;
    }

    @Override
    public void mark(int readLimit) {
        mark = position;
    }

    @Override
    public void reset() {
        position = mark;
    }

    @Override
    public String toString() {
        return "BytesInputStream[len=" + length + "]";
    }
}
