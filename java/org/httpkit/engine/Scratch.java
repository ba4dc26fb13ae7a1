package org.httpkit.engine;

/**
 * Arrays for the pieces of streamed bodies, one kept by each platform thread.
 *
 * <p>An array is out of the keep while it is in use, so code that runs in between gets another.
 */
public final class Scratch {
    /** The size of a piece. */
    public static final int SIZE = 64 * 1024;

    private static final ThreadLocal<byte[]> KEPT = new ThreadLocal<>();

    private Scratch() {
    }

    /** Returns an array of {@link #SIZE} bytes for the caller alone. */
    public static byte[] take() {
        byte[] kept = VirtualThreads.isCurrent() ? null : KEPT.get();
        if (kept == null) {
            return new byte[SIZE];
        }
        KEPT.set(null);
        return kept;
    }

    /** Gives an array back. */
    public static void give(byte[] array) {
        if (!VirtualThreads.isCurrent()) {
            KEPT.set(array);
        }
    }
}
