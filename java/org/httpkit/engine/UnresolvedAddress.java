package org.httpkit.engine;

import java.nio.channels.UnresolvedAddressException;

/** What http-kit throws for the name of a host that nobody knows, with a message: Java's class takes none. */
public final class UnresolvedAddress extends UnresolvedAddressException {

    private static final long serialVersionUID = 1L;

    private final String message;

    public UnresolvedAddress(String message) {
        this.message = message;
    }

    @Override
    public String getMessage() {
        return message;
    }
}
