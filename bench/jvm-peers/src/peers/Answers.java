package peers;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What every server of this package answers: the bodies, headers and work of bench/servers. Texts are
 * Strings, as a Ring handler's are, so that each server encodes them for each answer.
 */
final class Answers {
    static final String TEXT = "Hello, World!";
    static final String TEXT_TYPE = "text/plain";
    static final String BYTES_TYPE = "application/octet-stream";
    static final String JSON = resource("answer.json");
    /** Name and value in turn. */
    static final String[] JSON_HEADERS = {
        "Content-Type", "application/json; charset=utf-8",
        "Cache-Control", "no-store",
        "Vary", "Accept-Encoding, Origin",
        "Access-Control-Allow-Origin", "*",
        "X-Content-Type-Options", "nosniff",
        "X-Request-Id", "6f1c2f8e-0b54-4c1b-9a57-9c7f4f0a2d11",
    };
    static final int MEBIBYTE = 1024 * 1024;
    static final Path FILE = file();
    /** Threads for handlers that block: more than the connections that a scenario blocks. */
    static final int BLOCKING_THREADS = 64;

    private static final int COPY_BYTES = 32 * 1024;
    private static final int SLEEP_MILLIS = 50;
    private static final byte[] CONTENT = content();

    private Answers() {}

    static InputStream stream() {
        return new ByteArrayInputStream(CONTENT);
    }

    /** Piece by piece: the stream's own transferTo would give its whole array away at once. */
    static void copy(InputStream from, OutputStream to) throws IOException {
        byte[] buffer = new byte[COPY_BYTES];
        for (int count = from.read(buffer); count >= 0; count = from.read(buffer)) {
            to.write(buffer, 0, count);
        }
    }

    /** Reads to the end in the pieces that bench/servers/upload.clj reads. */
    static long count(InputStream from) throws IOException {
        byte[] buffer = new byte[8192];
        long total = 0;
        for (int count = from.read(buffer); count >= 0; count = from.read(buffer)) {
            total += count;
        }
        return total;
    }

    /** Blocks its thread as the slow route's handler does. */
    static void sleep() {
        try {
            Thread.sleep(SLEEP_MILLIS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Tells bench/process.py where the server listens. */
    static void listening(int port) {
        System.out.println("port=" + port + " java=" + System.getProperty("java.version"));
    }

    private static byte[] content() {
        byte[] bytes = new byte[MEBIBYTE];
        Arrays.fill(bytes, (byte) 'x');
        return bytes;
    }

    private static Path file() {
        try {
            Path path = Files.createTempFile("bench-file", ".bin");
            path.toFile().deleteOnExit();
            return Files.write(path, content());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static String resource(String name) {
        try (InputStream stream = Answers.class.getResourceAsStream("/" + name)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
