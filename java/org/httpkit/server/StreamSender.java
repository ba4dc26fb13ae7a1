package org.httpkit.server;

import clojure.lang.Seqable;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import org.httpkit.engine.Native;
import org.httpkit.engine.ResponseWriter;
import org.httpkit.engine.Scratch;

/** Sends the answers an application gives piece by piece through {@code send!}: the head first, then any number of pieces. */
final class StreamSender {
    private static final byte[] NOTHING = {};

    private StreamSender() {
    }

    /** Sends the head; the exchange enters the state {@code claimed}. Returns false if it is no longer open. */
    static boolean start(AsyncChannel channel, int claimed, int status, Object headers) {
        ResponseWriter writer = ResponseWriter.acquire();
        try {
            writer.head(status, headers);
            AnswerSender.addDefaultType(writer, headers);
            writer.finishHead();
            if (!channel.claim(claimed)) {
                return false;
            }
            try {
                Native.startStream(channel.connection(), channel.exchange(), writer.block(), writer.length());
            } catch (Throwable failure) {
                channel.unclaim(claimed);
                throw failure;
            }
        } finally {
            writer.release();
        }
        return true;
    }

    /** Sends one piece and, with {@code finish}, ends the answer. Returns the engine's answer. */
    static int send(AsyncChannel channel, ByteBuffer content, boolean finish) {
        int sent = Native.ACCEPTED;
        int end = content.limit();
        while (content.hasRemaining()) {
            int count = Math.min(Scratch.SIZE, content.remaining());
            boolean last = finish && content.position() + count == end;
            int offset = content.arrayOffset() + content.position();
            sent = Native.send(channel.connection(), channel.exchange(), content.array(), offset, count, last);
            content.position(content.position() + count);
            if (last || sent == Native.NOT_OPEN) {
                return sent;
            }
        }
        return finish ? Native.send(channel.connection(), channel.exchange(), NOTHING, 0, 0, true) : sent;
    }

    /** A piece is one unit to the caller: it is complete in memory before any of it is sent, or not sent at all. */
    static ByteBuffer content(Object body) throws IOException {
        if (body instanceof InputStream) {
            try (InputStream stream = ProxiedStream.readable((InputStream) body)) {
                return ByteBuffer.wrap(stream.readAllBytes());
            }
        }
        if (body instanceof File) {
            // Of a file that is missing the stream says FileNotFoundException, as whole answers do, and Files something else.
            try (InputStream stream = new FileInputStream((File) body)) {
                return ByteBuffer.wrap(stream.readAllBytes());
            }
        }
        if (body instanceof Seqable) {
            return ByteBuffer.wrap(new SeqSource((Seqable) body).readAll());
        }
        return AnswerSender.inMemory(body);
    }
}
