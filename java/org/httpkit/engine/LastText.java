package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.Arrays;

/** The text last read at one place of the blocks, for what is the same in nearly every request: it saves a String and its array. */
final class LastText {
    private byte[] bytes = {};
    private String text = "";

    /** Returns the Latin-1 text of these bytes of a block. */
    String read(byte[] block, int at, int length) {
        if (!Arrays.equals(bytes, 0, bytes.length, block, at, at + length)) {
            byte[] copy = Arrays.copyOfRange(block, at, at + length);
            text = new String(copy, ISO_8859_1);
            // Not before there is a text of them, for which there may be no memory.
            bytes = copy;
        }
        return text;
    }
}
