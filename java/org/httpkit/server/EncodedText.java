package org.httpkit.server;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.ref.Reference;
import java.lang.ref.WeakReference;

/**
 * The last long text a thread has sent, and its UTF-8 bytes: a loop that sends one String to many channels encodes it once.
 *
 * <p>Kept weakly. There may be any number of threads, virtual ones too, and a text of any length is sent, so the memory is bounded by the
 * collector; a loop that loses its text to it encodes that once more. A short text is encoded faster than looked up.
 */
final class EncodedText {
    private static final int SHORT_TEXT = 256;
    private static final ThreadLocal<Reference<EncodedText>> LAST = new ThreadLocal<>();

    private final String text;
    private final byte[] bytes;

    private EncodedText(String text, byte[] bytes) {
        this.text = text;
        this.bytes = bytes;
    }

    /** Returns the text in UTF-8, in an array that must not be written to. */
    static byte[] utf8(String text) {
        if (text.length() <= SHORT_TEXT) {
            return text.getBytes(UTF_8);
        }
        Reference<EncodedText> kept = LAST.get();
        EncodedText last = kept == null ? null : kept.get();
        // By identity: to compare long texts would cost what it saves.
        if (last == null || last.text != text) {
            last = new EncodedText(text, text.getBytes(UTF_8));
            LAST.set(new WeakReference<>(last));
        }
        return last.bytes;
    }
}
