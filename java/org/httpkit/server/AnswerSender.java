package org.httpkit.server;

import static java.nio.charset.StandardCharsets.UTF_8;

import clojure.lang.ISeq;
import clojure.lang.RT;
import clojure.lang.Seqable;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Map;
import org.httpkit.engine.FileNames;
import org.httpkit.engine.Keywords;
import org.httpkit.engine.Native;
import org.httpkit.engine.ResponseWriter;
import org.httpkit.engine.Scratch;
import org.httpkit.engine.Worker;

/**
 * Sends whole answers: picks, by the kind of body, the call of the engine that moves it with the fewest copies.
 *
 * <p>With a worker, the exchange's own up-call is still running, and a small answer is left in the worker's buffer: its length is
 * returned. Everything else goes to the engine by a call of its own and 0 is returned. An exchange is claimed after its answer is
 * encoded and before it is sent, so a failure on the way leaves it open for another answer.
 */
final class AnswerSender {
    /** Returned when the exchange had been answered already; nothing was sent. */
    static final int IGNORED = -1;
    /** Returned when the body writes itself, which may yet fail: {@link RingApplication#write} logs the event of the response. */
    static final int BEGUN = -2;

    private static final ByteBuffer EMPTY = ByteBuffer.allocate(0);

    private final RingApplication application;
    private final Telemetry telemetry;
    private final boolean legacyContentLength;
    private final BodyWriter bodyWriter;
    private final boolean ringSpec;

    AnswerSender(RingApplication application, Telemetry telemetry, AnswerOptions options) {
        this.application = application;
        this.telemetry = telemetry;
        this.legacyContentLength = options.legacyContentLength;
        this.bodyWriter = options.bodyWriter;
        this.ringSpec = options.ringSpec;
    }

    /** Returns true if an answer with this status never has a body (RFC 9110 section 6.4.1). */
    static boolean hasNoBody(int status) {
        return status < 200 || status == 204 || status == 205 || status == 304;
    }

    private static boolean isInMemory(Object body) {
        return body == null || body instanceof String || body instanceof byte[] || body instanceof ByteBuffer;
    }

    /** Returns a body that is in memory as bytes; throws what http-kit throws for a body of no known kind. */
    static ByteBuffer inMemory(Object body) {
        if (body == null) {
            return EMPTY;
        }
        if (body instanceof String) {
            return ByteBuffer.wrap(((String) body).getBytes(UTF_8));
        }
        if (body instanceof byte[]) {
            return ByteBuffer.wrap((byte[]) body);
        }
        if (body instanceof ByteBuffer) {
            ByteBuffer buffer = (ByteBuffer) body;
            ByteBuffer content = buffer;
            if (buffer.hasArray()) {
                content = buffer.duplicate();
                buffer.position(buffer.limit());
            } else {
                content = ByteBuffer.allocate(buffer.remaining());
                content.put(buffer);
                content.flip();
            }
            return content;
        }
        throw new RuntimeException(body.getClass() + " is not understandable");
    }

    /**
     * Answers the exchange, which enters the state {@code claimed}, with the status and headers of {@code response}, null for none, and
     * the body that came in it or by itself; the server's own texts come beside a response without one. An answer by {@code send!}
     * without any header is declared to be HTML, as http-kit does. Whatever goes wrong, an InputStream body is closed.
     */
    int answer(AsyncChannel channel, Worker worker, int claimed, Map<?, ?> response, Object body) throws IOException {
        ResponseWriter writer = ResponseWriter.acquire();
        try {
            Object headers = response == null ? null : response.get(Keywords.HEADERS);
            writer.head(ResponseWriter.status(response == null ? null : response.get(Keywords.STATUS)), headers);
            if (claimed != AsyncChannel.ANSWERED) {
                addDefaultType(writer, headers);
            }
            int sent = answer(channel, worker, claimed, writer, response, body);
            if (sent == IGNORED) {
                discard(body);
            }
            return sent;
        } catch (Throwable failure) {
            discard(body);
            throw failure;
        } finally {
            writer.release();
        }
    }

    /** Gives http-kit's default type to an answer without any header, be it one whose value is nil. */
    static void addDefaultType(ResponseWriter writer, Object headers) {
        if (headers == null || headers instanceof Map && ((Map<?, ?>) headers).isEmpty()) {
            writer.header("Content-Type", "text/html; charset=utf-8");
        }
    }

    private int answer(
        AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer, Map<?, ?> response, Object body)
        throws IOException {
        int status = writer.status();
        boolean declared = writer.handlerLength() != ResponseWriter.NO_LENGTH;
        if (hasNoBody(status) || channel.isHead() && declared && !legacyContentLength) {
            discard(body);
            if (declared && (channel.isHead() || status == 304)) {
                writer.declare(writer.handlerLength());
            }
            return sendBlock(channel, worker, claimed, writer);
        }
        if (bodyWriter != null && body != null && bodyWriter.implementedBy(body) && !isOwnText(response)) {
            if (channel.isHead()) {
                discard(body);
            }
            return sendWritten(channel, worker != null, claimed, writer, written(body, response));
        }
        if (ringSpec) {
            if (body instanceof ISeq) {
                // Never here: the frames below hold the beginning of the sequence.
                return sendWritten(channel, true, claimed, writer, new ElementWriter((ISeq) body, writer.charset()));
            }
            if (body instanceof String && writer.charset() != UTF_8) {
                return sendBytes(channel, worker, claimed, writer, ByteBuffer.wrap(((String) body).getBytes(writer.charset())));
            }
        }
        if (body instanceof InputStream) {
            return sendSource(channel, worker, claimed, writer, new InputStreamSource((InputStream) body));
        }
        if (body instanceof File) {
            return sendFile(channel, worker, claimed, writer, (File) body);
        }
        if (body instanceof Seqable) {
            return sendSource(channel, worker, claimed, writer, new SeqSource((Seqable) body));
        }
        if (body instanceof String && !channel.isHead() && ((String) body).length() <= ResponseWriter.INLINE_BODY) {
            writer.body((String) body);
            return sendBlock(channel, worker, claimed, writer);
        }
        if (bodyWriter != null && !isInMemory(body) && bodyWriter.accepts(body)) {
            return sendWritten(channel, worker != null, claimed, writer, written(body, response));
        }
        return sendBytes(channel, worker, claimed, writer, inMemory(body));
    }

    /** Returns true if the body that came with this response is not of it: no function of the application is to write it. */
    private static boolean isOwnText(Map<?, ?> response) {
        return response != null && response.get(Keywords.BODY) == null;
    }

    private int sendBytes(AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer, ByteBuffer content) {
        byte[] bytes = content.array();
        int offset = content.arrayOffset() + content.position();
        int count = content.remaining();
        if (channel.isHead()) {
            writer.declare(count);
            return sendBlock(channel, worker, claimed, writer);
        }
        if (count <= ResponseWriter.INLINE_BODY) {
            writer.body(bytes, offset, count);
            return sendBlock(channel, worker, claimed, writer);
        }
        return claiming(channel, claimed, () -> Native.respondBytes(
            channel.connection(), channel.exchange(), finished(writer), writer.length(), bytes, offset, count));
    }

    private int sendFile(AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer, File file)
        throws IOException {
        if (channel.isHead()) {
            checkReadable(file);
            writer.declare(file.length());
            return sendBlock(channel, worker, claimed, writer);
        }
        return claiming(channel, claimed, () -> {
            long begun = System.nanoTime();
            int sent = Native.respondFile(
                channel.connection(), channel.exchange(), finished(writer), writer.length(), FileNames.bytes(file.getPath()));
            channel.fileNanos += System.nanoTime() - begun;
            return sent;
        });
    }

    /** Throws what the engine would if it were to send the file. */
    private static void checkReadable(File file) throws IOException {
        // Never opened: the open of a named pipe waits for a writer.
        if (file.exists() && !file.isFile()) {
            throw new FileNotFoundException(file.getPath() + " (Not a regular file)");
        }
        new FileInputStream(file).close();
    }

    private int sendSource(
        AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer, BodySource source)
        throws IOException {
        byte[] piece = Scratch.take();
        try {
            int count = source.fill(piece, Scratch.FIRST_PIECE);
            if (count < Scratch.FIRST_PIECE) {
                application.close(source);
                return sendBytes(channel, worker, claimed, writer, ByteBuffer.wrap(piece, 0, count));
            }
            if (channel.isHead()) {
                application.close(source);
                return sendUncounted(channel, worker, claimed, writer);
            }
            long length = writer.handlerLength();
            // One that is too short already is no reason to cut the answer: without it nothing is wrong.
            boolean isKnown = length >= count;
            if (isKnown) {
                writer.declare(length);
            }
            return claiming(channel, claimed, () -> {
                StreamPump pump = new StreamPump(application, channel, source, isKnown ? length : ResponseWriter.NO_LENGTH);
                // A pool thread could move all of it, but the frames below hold the beginning of a sequence.
                boolean brief = worker != null || source instanceof SeqSource;
                pump.start(finished(writer), writer.length(), piece, count, brief);
                return Native.ACCEPTED;
            });
        } finally {
            Scratch.give(piece);
        }
    }

    /** A body that implements Ring's protocol, and is shown the response it came in. */
    private SelfWriting written(Object body, Map<?, ?> response) {
        Object shown = response == null ? RT.map(Keywords.STATUS, 200, Keywords.BODY, body) : response;
        return stream -> bodyWriter.write(body, shown, stream);
    }

    /** A body that writes itself may wait for the client, so it does that {@code elsewhere} and not on an engine thread. */
    private int sendWritten(AsyncChannel channel, boolean elsewhere, int claimed, ResponseWriter writer, SelfWriting body) {
        if (channel.isHead()) {
            return sendUncounted(channel, null, claimed, writer);
        }
        if (writer.handlerLength() != ResponseWriter.NO_LENGTH) {
            writer.declare(writer.handlerLength());
        }
        int status = writer.status();
        byte[] head = Arrays.copyOf(finished(writer), writer.length());
        if (!channel.claim(claimed)) {
            return IGNORED;
        }
        BodyOutputStream stream;
        ServerTask writing;
        try {
            stream = new BodyOutputStream(application, channel, head, writer.handlerLength());
            writing = ServerTask.of(() -> application.write(body, stream, channel, claimed, status));
            application.register(channel, stream);
        } catch (Throwable failure) {
            channel.unclaim(claimed);
            throw failure;
        }
        if (elsewhere) {
            application.execute(writing);
        } else {
            writing.perform();
        }
        return BEGUN;
    }

    /** Answers HEAD where the body would have to be read or written to be counted: with the length the handler declared, or without. */
    private int sendUncounted(AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer) {
        if (writer.handlerLength() == ResponseWriter.NO_LENGTH) {
            return claiming(channel, claimed, () -> startAndFinish(channel, writer));
        }
        writer.declare(writer.handlerLength());
        return sendBlock(channel, worker, claimed, writer);
    }

    private int sendBlock(AsyncChannel channel, Worker worker, int claimed, ResponseWriter writer) {
        writer.finishHead();
        if (!channel.claim(claimed)) {
            return IGNORED;
        }
        // An event follows the answer it is about, so where events are logged the answer is sent before this thread returns.
        if (worker != null && !telemetry.hasEvents()) {
            int length = worker.put(writer.block(), writer.length());
            if (length != 0) {
                return length;
            }
        }
        try {
            Native.respond(channel.connection(), channel.exchange(), writer.block(), writer.length());
            return 0;
        } catch (Throwable failure) {
            channel.unclaim(claimed);
            throw failure;
        }
    }

    private static int startAndFinish(AsyncChannel channel, ResponseWriter writer) {
        int sent = Native.startStream(channel.connection(), channel.exchange(), finished(writer), writer.length());
        return sent == Native.NOT_OPEN
            ? sent
            : Native.send(channel.connection(), channel.exchange(), writer.block(), 0, 0, true);
    }

    private static byte[] finished(ResponseWriter writer) {
        writer.finishHead();
        return writer.block();
    }

    private static <E extends Exception> int claiming(AsyncChannel channel, int claimed, NativeCall<E> call) throws E {
        if (!channel.claim(claimed)) {
            return IGNORED;
        }
        try {
            call.run();
            return 0;
        } catch (Throwable failure) {
            channel.unclaim(claimed);
            throw failure;
        }
    }

    /** Closes a body that nobody gets, if it is a stream. */
    void discard(Object body) {
        if (body instanceof InputStream) {
            application.close(new InputStreamSource((InputStream) body));
        }
    }

    /** A call of the engine; its result says only whether the client is still there, which makes no difference to a whole answer. */
    private interface NativeCall<E extends Exception> {
        int run() throws E;
    }
}
