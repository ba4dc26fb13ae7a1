package org.httpkit.server;

import java.io.IOException;

/** A response body of unknown length, read in pieces by one thread at a time. */
interface BodySource {
    /**
     * Reads {@code wanted} bytes as far as the body goes. Returns the number of bytes; fewer only at the end of the body.
     */
    int fill(byte[] piece, int wanted) throws IOException;

    /** Reads what is at hand, at least one byte. Returns the number of bytes, or -1 at the end of the body. */
    int read(byte[] piece) throws IOException;

    /** Gives up the body, read or not. May be called while another thread reads, to wake it. */
    void close() throws IOException;

    /** Returns what the body is, for log entries. */
    String description();
}
