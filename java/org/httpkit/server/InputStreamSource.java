package org.httpkit.server;

import java.io.IOException;
import java.io.InputStream;

/** A response body from an InputStream. */
final class InputStreamSource implements BodySource {
    private final InputStream stream;

    InputStreamSource(InputStream stream) {
        this.stream = ProxiedStream.readable(stream);
    }

    @Override
    public int fill(byte[] piece, int wanted) throws IOException {
        return checked(stream.readNBytes(piece, 0, wanted), wanted);
    }

    @Override
    public int read(byte[] piece) throws IOException {
        int count = checked(stream.read(piece), piece.length);
        // Streams that hand out crumbs are gathered as long as that does not keep the client waiting.
        while (count > 0 && count < piece.length && stream.available() > 0) {
            int more = checked(stream.read(piece, count, piece.length - count), piece.length - count);
            if (more <= 0) {
                break;
            }
            count += more;
        }
        return count;
    }

    /** The array has been used before: what a stream claims beyond what was asked for is another client's. */
    private static int checked(int count, int most) throws IOException {
        if (count > most) {
            throw new IOException("The body's stream says that it has read " + count + " bytes, of at most " + most);
        }
        return count;
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }

    @Override
    public String description() {
        return ProxiedStream.original(stream).getClass().getName();
    }
}
