package org.httpkit.engine;

/**
 * Arrays for the pieces of streamed bodies, a few of them kept.
 *
 * <p>They belong to no thread: streams run on virtual threads, each of which is new. Beyond the few, arrays are made and dropped.
 */
public final class Scratch {
    /** The size of an array. Each piece wakes the client: of 64 KiB ones, 1 MiB costs 15 % more CPU. */
    public static final int SIZE = 256 * 1024;
    /**
     * Of a body whose length is not known, this much is read before any of it is sent: a shorter one gets its Content-Length. No more than
     * {@link Native#respondBytes} copies, for the array serves other bodies then.
     */
    public static final int FIRST_PIECE = 64 * 1024;

    private static final int MOST_KEPT = 16;
    private static final Kept<byte[]> KEPT = new Kept<>(Math.min(2 * Runtime.getRuntime().availableProcessors(), MOST_KEPT));

    private Scratch() {
    }

    /** Returns an array of {@link #SIZE} bytes for the caller alone. */
    public static byte[] take() {
        byte[] kept = KEPT.take();
        return kept == null ? new byte[SIZE] : kept;
    }

    /** Gives an array back. */
    public static void give(byte[] array) {
        KEPT.give(array);
    }
}
