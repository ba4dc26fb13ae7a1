package org.httpkit.engine;

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

    /** Returns the bytes of that String, or null; then, if {@link #keeps} says so, they are wanted. */
    byte[] find(String text) {
        int length = text.length();
        if (length == 0 || length > LONGEST) {
            return null;
        }
        int place = place(text, length);
        return texts[place] == text ? bytes[place] : null;
    }

    /** Returns true if the bytes of that String, which was not found, are to be kept. */
    boolean keeps(String text) {
        int length = text.length();
        if (length == 0 || length > LONGEST) {
            return false;
        }
        int place = place(text, length);
        if (texts[place] == text) {
            return true;
        }
        texts[place] = text;
        bytes[place] = null;
        return false;
    }

    /** Keeps the bytes of a String. */
    void keep(String text, byte[] encoded) {
        bytes[place(text, text.length())] = encoded;
    }

    private static int place(String text, int length) {
        return (length * 31 + text.charAt(0)) * 31 + text.charAt(length - 1) + text.charAt(length >> 1) & PLACES - 1;
    }
}
