package org.httpkit.engine;

import clojure.lang.Keyword;

/** The keys of Ring's request and response maps, interned once. */
public final class Keywords {
    public static final Keyword STATUS = Keyword.intern("status");
    public static final Keyword HEADERS = Keyword.intern("headers");
    public static final Keyword BODY = Keyword.intern("body");

    static final Keyword ASYNC_CHANNEL = Keyword.intern("async-channel");
    static final Keyword CHARACTER_ENCODING = Keyword.intern("character-encoding");
    static final Keyword CONTENT_LENGTH = Keyword.intern("content-length");
    static final Keyword CONTENT_TYPE = Keyword.intern("content-type");
    static final Keyword HTTP = Keyword.intern("http");
    static final Keyword PROTOCOL = Keyword.intern("protocol");
    static final Keyword QUERY_STRING = Keyword.intern("query-string");
    static final Keyword REMOTE_ADDR = Keyword.intern("remote-addr");
    static final Keyword REQUEST_METHOD = Keyword.intern("request-method");
    static final Keyword SCHEME = Keyword.intern("scheme");
    static final Keyword SERVER_NAME = Keyword.intern("server-name");
    static final Keyword SERVER_PORT = Keyword.intern("server-port");
    static final Keyword START_TIME = Keyword.intern("start-time");
    static final Keyword URI = Keyword.intern("uri");
    static final Keyword WEBSOCKET = Keyword.intern("websocket?");

    private Keywords() {
    }
}
