package org.httpkit.server;

import java.io.IOException;

/** What a WebSocket client did against the protocol, and the close code it was told (RFC 6455 section 7.4.1). */
public final class ProtocolException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int code;

    ProtocolException(int code, String message) {
        super(message);
        this.code = code;
    }

    /** Returns the close code. */
    public int code() {
        return code;
    }
}
