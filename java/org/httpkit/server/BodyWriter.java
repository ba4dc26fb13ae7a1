package org.httpkit.server;

import java.io.OutputStream;

/** How to have bodies write themselves that do so: Ring's StreamableResponseBody, where Ring is on the class path. */
public interface BodyWriter {
    /**
     * Returns true if the body's own class implements the protocol, or somebody other than Ring extended it to that class: it is then
     * written this way, whatever else it is. Asked for every body, so it must be quick.
     */
    boolean implementedBy(Object body);

    /** Returns true if the protocol was extended to the body's class. */
    boolean accepts(Object body);

    /** Writes the body of the response map. For an asynchronous handler it closes the stream now or, from another thread, later. */
    void write(Object body, Object response, OutputStream stream) throws Exception;
}
