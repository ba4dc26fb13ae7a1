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
        return stream.readNBytes(piece, 0, wanted);
    }

    @Override
    public int read(byte[] piece) throws IOException {
        int count = stream.read(piece);
        // Streams that hand out crumbs are gathered as long as that does not keep the client waiting.
        while (count > 0 && count < piece.length && stream.available() > 0) {
            int more = stream.read(piece, count, piece.length - count);
            if (more <= 0) {
                break;
            }
            count += more;
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
