package org.httpkit.server;

import static java.nio.charset.StandardCharsets.UTF_8;

import clojure.lang.ISeq;
import clojure.lang.Seqable;
import java.io.ByteArrayOutputStream;
import org.httpkit.engine.Scratch;

/** A response body from a Clojure sequence: the texts of its elements in UTF-8, one after the other, realised as they are needed. */
final class SeqSource implements BodySource {
    private static final byte[] NOTHING = {};

    /** What follows the current element, perhaps not realised yet. */
    private Seqable rest;
    private byte[] element = NOTHING;
    private int taken;

    SeqSource(Seqable body) {
        rest = body;
    }

    @Override
    public int fill(byte[] piece, int wanted) {
        int count = 0;
        while (count < wanted) {
            if (taken == element.length) {
                ISeq seq = rest.seq();
                if (seq == null) {
                    break;
                }
                element = text(seq.first());
                taken = 0;
                rest = seq.more();
                continue;
            }
            int part = Math.min(wanted - count, element.length - taken);
            System.arraycopy(element, taken, piece, count, part);
            taken += part;
            count += part;
        }
        return count;
    }

    @Override
    public int read(byte[] piece) {
        int count = fill(piece, Scratch.FIRST_PIECE);
        return count == 0 ? -1 : count;
    }

    /** Returns the whole body. */
    byte[] readAll() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        byte[] piece = Scratch.take();
        for (int count = fill(piece, piece.length); count > 0; count = fill(piece, piece.length)) {
            bytes.write(piece, 0, count);
        }
        Scratch.give(piece);
        return bytes.toByteArray();
    }

    @Override
    public void close() {
        // The sequence must not be touched here: another thread may be realising it.
    }

    @Override
    public String description() {
        return "sequence";
    }

    private static byte[] text(Object element) {
        if (element == null) {
            throw new IllegalArgumentException("An element of the response body is nil");
        }
        return element.toString().getBytes(UTF_8);
    }
}
