package org.httpkit.server;

/** What run-server's options say of answers, and what Ring's own libraries add where they are on the class path. Immutable. */
public final class AnswerOptions {
    /** The length in an answer to HEAD is computed from its body, whatever the handler declared. */
    final boolean legacyContentLength;
    /** A 500 carries the exception's message. */
    final boolean exposeErrors;
    /** What Ring's SPEC and http-kit do differently is done Ring's way. */
    final boolean ringSpec;
    /** Null where no body writes itself. */
    final BodyWriter bodyWriter;
    /** Null where no response asks for a WebSocket. */
    final WebSocketResponse webSocketResponse;

    /** Takes null for a {@code bodyWriter} or {@code webSocketResponse} that there is not. */
    public AnswerOptions(
        boolean legacyContentLength,
        boolean exposeErrors,
        boolean ringSpec,
        BodyWriter bodyWriter,
        WebSocketResponse webSocketResponse) {
        this.legacyContentLength = legacyContentLength;
        this.exposeErrors = exposeErrors;
        this.ringSpec = ringSpec;
        this.bodyWriter = bodyWriter;
        this.webSocketResponse = webSocketResponse;
    }
}
