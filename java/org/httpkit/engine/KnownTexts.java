package org.httpkit.engine;

import java.util.Arrays;

/**
 * The bytes of header names and values that one writer has checked and encoded before, found by the very Strings: most are
 * constants of the application.
 *
 * <p>Only a String that comes twice in a row at its place gets its bytes kept, so those made for one answer cost two comparisons.
 */
final class KnownTexts {
    /** A power of two. */
    private static final int PLACES = 128;
    /** Longer ones are not looked up. */
    private static final int LONGEST = 256;

    private final String[] texts = new String[PLACES];
    private final byte[][] bytes = new byte[PLACES][];

    /** Returns the bytes of that String, or null. */
    byte[] find(String text) {
        int place = place(text);
        return place >= 0 && texts[place] == text ? bytes[place] : null;
    }

    /** A String that was not found has become the bytes from {@code start} to {@code end} of a block: keeps them, if it came before. */
    void offer(String text, byte[] block, int start, int end) {
        int place = place(text);
        if (place < 0) {
            return;
        }
        bytes[place] = texts[place] == text ? Arrays.copyOfRange(block, start, end) : null;
        texts[place] = text;
    }

    private static int place(String text) {
        int length = text.length();
        if (length == 0 || length > LONGEST) {
            return -1;
        }
        return (length * 31 + text.charAt(0)) * 31 + text.charAt(length - 1) + text.charAt(length >> 1) & PLACES - 1;
    }
}
