package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Long texts encoded straight into native memory, on JVMs with the {@linkplain ForeignApi Foreign Function and Memory API}.
 *
 * <p>Elsewhere a String becomes an array on the heap first: for ASCII of 16 KiB, memory that is new and in no cache, a sixth of
 * what an echo costs.
 */
public final class NativeText {
    /** What {@link #send} returns for a text that has to go another way. */
    public static final int NOT_TAKEN = -1;

    /** A shorter text is encoded on the heap in no time. */
    private static final int SHORTEST = 1024;
    private static final int PAGE = 64 * 1024;
    /** In chars: each may take three bytes, and the API adds a NUL. */
    private static final int LONGEST = (PAGE - 1) / 3;
    /** Texts before the API is loaded, which takes some 20 ms: a server in a test sends fewer. */
    private static final int WARM_UP = 200;
    /** Texts that go another way after one that is not ASCII: the API makes an array for it too, and the other way keeps its own. */
    private static final int DETOUR = 32;
    private static final int MOST_PAGES = 16;

    private static final Kept<Page> PAGES = new Kept<>(MOST_PAGES);
    private static final AtomicInteger MADE = new AtomicInteger();

    /** How many more texts go another way. Races lose counts, which does no harm. */
    private static int untilNext = ForeignApi.isPresent() ? WARM_UP : 0;
    private static volatile boolean isLoaded;

    private NativeText() {
    }

    /** Sends a text message. Returns what {@link Native#sendMessage} would, or {@link #NOT_TAKEN}. */
    public static int send(long connection, int exchange, String text) {
        int length = text.length();
        if (length < SHORTEST || length > LONGEST || !isTurn()) {
            return NOT_TAKEN;
        }
        Page page = take();
        if (page == null) {
            return NOT_TAKEN;
        }
        try {
            int bytes = page.put(text);
            if (bytes != length) {
                untilNext = DETOUR;
            }
            return Native.sendText(connection, exchange, page.address, bytes);
        } finally {
            PAGES.give(page);
        }
    }

    private static boolean isTurn() {
        if (untilNext > 0) {
            if (--untilNext == 0 && !isLoaded) {
                ForeignApi.inBackground("httpkit-rs-native-text", NativeText::load);
            }
            return false;
        }
        return isLoaded;
    }

    private static void load() {
        try {
            PAGES.give(new Page());
            isLoaded = true;
        } catch (LinkageError | RuntimeException unavailable) {
            // Texts go the other way, which is as right.
        }
    }

    private static Page take() {
        Page kept = PAGES.take();
        return kept == null && MADE.get() < MOST_PAGES ? new Page() : kept;
    }

    /** Native memory for one text at a time. */
    private static final class Page {
        /** {@code (int) SegmentAllocator.prefixAllocator(…).allocateFrom(text, UTF_8).byteSize()}. Final, so the JIT compiler sees through it. */
        private static final MethodHandle ENCODE;
        private static final Class<?> SEGMENTS;
        private static final Class<?> ALLOCATORS;

        static {
            try {
                SEGMENTS = ForeignApi.type("MemorySegment");
                ALLOCATORS = ForeignApi.type("SegmentAllocator");
                MethodHandles.Lookup lookup = MethodHandles.publicLookup();
                MethodHandle allocate = lookup.findVirtual(
                    ALLOCATORS, "allocateFrom", MethodType.methodType(SEGMENTS, String.class, Charset.class));
                MethodHandle size = lookup.findVirtual(SEGMENTS, "byteSize", MethodType.methodType(long.class));
                ENCODE = MethodHandles.filterReturnValue(MethodHandles.insertArguments(allocate, 2, UTF_8), size)
                    .asType(MethodType.methodType(long.class, Object.class, String.class));
            } catch (ReflectiveOperationException e) {
                throw new ExceptionInInitializerError(e);
            }
        }

        final long address;
        /** Refers to the memory, which lives as long as this does. */
        private final Object allocator;

        Page() {
            try {
                Object segment = SEGMENTS.getMethod("ofBuffer", Buffer.class).invoke(null, ByteBuffer.allocateDirect(PAGE));
                address = (long) SEGMENTS.getMethod("address").invoke(segment);
                allocator = ALLOCATORS.getMethod("prefixAllocator", SEGMENTS).invoke(null, segment);
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
            MADE.incrementAndGet();
        }

        /** Writes the text to the beginning of the memory. Returns the number of its bytes. */
        int put(String text) {
            try {
                return (int) (long) ENCODE.invokeExact(allocator, text) - 1;
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError(e);
            }
        }
    }
}
