package org.httpkit.engine;

import clojure.lang.PersistentArrayMap;
import clojure.lang.PersistentHashMap;
import java.util.Arrays;

/**
 * The lines of whole header maps that one writer has checked and encoded before, found by the very maps: those of many answers are
 * constants of the application, and copying them in one piece saves an eighth of the user time of an answer
 * with six headers.
 *
 * <p>Only maps that cannot change are kept, and only those that come a second time while they are among the last few.
 */
final class KnownHeads {
    private static final int PLACES = 8;
    /** Longer ones, in bytes, are not kept. */
    private static final int LONGEST = 2048;

    private final Head[] heads = new Head[PLACES];
    private final Object[] seen = new Object[PLACES];
    private int oldestHead;
    private int oldestSeen;

    /** One map, as {@link ResponseWriter#head} leaves it in the block. */
    static final class Head {
        final byte[] lines;
        final int count;
        final long handlerLength;
        final String contentType;
        private final Object map;

        private Head(Object map, ResponseWriter writer) {
            this.map = map;
            this.lines = Arrays.copyOfRange(writer.block(), Wire.RESPONSE_HEAD, writer.length());
            this.count = writer.headerCount();
            this.handlerLength = writer.handlerLength();
            this.contentType = writer.contentType();
        }
    }

    /** Returns what that map has become before, or null. */
    Head find(Object map) {
        for (Head head : heads) {
            if (head != null && head.map == map) {
                return head;
            }
        }
        return null;
    }

    /**
     * A map that was not found has become the lines in the writer's block, and all its values are Strings: keeps them, if it came before.
     */
    void offer(Object map, ResponseWriter writer) {
        // Exactly these: another map may compute its entries.
        boolean isFixed = map.getClass() == PersistentArrayMap.class || map.getClass() == PersistentHashMap.class;
        if (!isFixed || writer.length() - Wire.RESPONSE_HEAD > LONGEST) {
            return;
        }
        for (Object candidate : seen) {
            if (candidate == map) {
                heads[oldestHead] = new Head(map, writer);
                oldestHead = (oldestHead + 1) % PLACES;
                return;
            }
        }
        seen[oldestSeen] = map;
        oldestSeen = (oldestSeen + 1) % PLACES;
    }
}
