package org.httpkit.engine;

import clojure.lang.IPersistentMap;
import java.util.Arrays;

/**
 * The header maps a worker has built lately, by the bytes they were built from.
 *
 * <p>A client that keeps its connection sends the same fields with nearly every request, and a connection stays with its worker's
 * reactor. The maps are immutable, so requests share them: it saves an eighth of the user time of a request with a browser's 15
 * headers. Only fields that come a second time are kept; those that never do cost the mixing of eight words.
 */
final class HeaderMaps {
    /** A power of two. */
    private static final int ENTRIES = 64;
    /** Longer fields are not kept: with all entries in use a worker holds 256 KiB of them, and their maps. */
    private static final int LONGEST = 4096;
    private static final int SHORTEST = 4;
    private static final int SAMPLES = 8;

    private final Entry[] entries = new Entry[ENTRIES];
    /** The fingerprint last looked for at each place. */
    private final int[] seen = new int[ENTRIES];
    private boolean isWanted;
    private int place;

    /** One map, and what else the fields of a request say. */
    static final class Entry {
        final IPersistentMap map;
        /** The value of Content-Type, or null. */
        final String contentType;
        /** True if there is a Content-Length. */
        final boolean lengthDeclared;
        private byte[] bytes;

        Entry(IPersistentMap map, String contentType, boolean lengthDeclared) {
            this.map = map;
            this.contentType = contentType;
            this.lengthDeclared = lengthDeclared;
        }
    }

    /** Returns what was made of the bytes from {@code start} to {@code end} of a block, or null. */
    Entry find(byte[] block, int start, int end) {
        int length = end - start;
        isWanted = false;
        if (length < SHORTEST || length > LONGEST) {
            return null;
        }
        int fingerprint = fingerprint(block, start, length);
        place = fingerprint & ENTRIES - 1;
        Entry entry = entries[place];
        if (entry != null && Arrays.equals(entry.bytes, 0, entry.bytes.length, block, start, end)) {
            return entry;
        }
        isWanted = seen[place] == fingerprint;
        seen[place] = fingerprint;
        return null;
    }

    /** Keeps what was made of the bytes that {@link #find} has just not found, if they were looked for before. */
    Entry keep(byte[] block, int start, int end, Entry entry) {
        if (isWanted) {
            entry.bytes = Arrays.copyOfRange(block, start, end);
            entries[place] = entry;
        }
        return entry;
    }

    /** Mixes the length and words spread over the bytes: a choice of place, never a proof of equality. */
    private static int fingerprint(byte[] block, int start, int length) {
        int last = length - Integer.BYTES;
        int mixed = length;
        for (int i = 0; i < SAMPLES; i++) {
            mixed = mixed * 0x9E3779B1 + Wire.getInt(block, start + last * i / (SAMPLES - 1));
        }
        return mixed ^ mixed >>> 15;
    }
}
