package org.httpkit.engine;

/**
 * The header names a request block carries as an index, from 1, so that their Strings are made once.
 *
 * <p>The order is part of the wire layout; {@code rust/engine} has the same table.
 */
final class HeaderNames {
    static final int CONTENT_LENGTH = 9;
    static final int CONTENT_TYPE = 10;

    private static final String[] NAMES = {
        "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control", "connection",
        "content-encoding", "content-length", "content-type", "cookie", "date", "dnt", "expect", "forwarded", "host",
        "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "origin",
        "pragma", "priority", "proxy-authorization", "range", "referer", "sec-ch-ua", "sec-ch-ua-mobile",
        "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user",
        "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version", "te",
        "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "via", "x-csrf-token",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip", "x-request-id",
        "x-requested-with",
    };

    private HeaderNames() {
    }

    /** Returns the name with this index. */
    static String get(int index) {
        return NAMES[index - 1];
    }

    /** Returns how many names there are. */
    static int count() {
        return NAMES.length;
    }
}
