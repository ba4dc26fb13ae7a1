package org.httpkit.server;

import java.io.OutputStream;

/** A body that writes itself, now or later, and closes the stream, or leaves that to whoever has it written. */
@FunctionalInterface
interface SelfWriting {
    /** Writes the body. */
    void writeTo(OutputStream stream) throws Exception;
}
