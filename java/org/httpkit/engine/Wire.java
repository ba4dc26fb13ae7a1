package org.httpkit.engine;

import clojure.lang.Keyword;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Locale;

/**
 * The binary layout of request, response and configuration blocks, shared with {@code rust/jni/src/wire.rs}.
 *
 * <p>All integers are little-endian. A change here is a change there and in {@code test/vectors}, which both sides read.
 */
final class Wire {
    /** Methods in the order of their index. */
    static final String[] METHODS = {
        "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH", "PROPFIND", "PROPPATCH", "LOCK",
        "UNLOCK", "REPORT", "ACL", "MOVE", "COPY", "MKCOL", "LIST",
    };
    static final Keyword[] METHOD_KEYWORDS = methodKeywords();
    static final int METHOD_HEAD = 1;

    static final int REQUEST_METHOD = 0;
    static final int REQUEST_FLAGS = 1;
    static final int REQUEST_HEADER_COUNT = 2;
    static final int REQUEST_URI_LENGTH = 4;
    static final int REQUEST_QUERY_LENGTH = 8;
    static final int REQUEST_SERVER_NAME_LENGTH = 12;
    static final int REQUEST_REMOTE_ADDRESS_LENGTH = 14;
    static final int REQUEST_SERVER_PORT = 16;
    static final int REQUEST_BODY_LENGTH = 20;
    static final int REQUEST_RECEIVED = 24;
    static final int REQUEST_HEAD = 32;

    static final int FLAG_HTTP11 = 1;
    static final int FLAG_WEBSOCKET = 2;
    static final int FLAG_IN_PLACE = 4;
    static final int FLAG_QUERY = 8;
    static final int FLAG_SERVER_NAME = 16;
    static final int FLAG_REMOTE_ADDRESS = 32;
    static final int FLAG_BODY_INLINE = 64;
    static final int FLAG_BODY_STREAMED = 128;

    static final int RESPONSE_STATUS = 0;
    static final int RESPONSE_FLAGS = 2;
    static final int RESPONSE_HEADER_COUNT = 4;
    static final int RESPONSE_BODY_LENGTH = 8;
    static final int RESPONSE_DECLARED_LENGTH = 12;
    static final int RESPONSE_HEAD = 20;

    static final int RESPONSE_FLAG_DECLARED = 1;

    static final int SERVER_DUAL_STACK = 1;
    static final int SERVER_REUSE_ADDRESS = 2;
    static final int SERVER_REUSE_PORT = 4;
    static final int SERVER_LEGACY_REMOTE_ADDRESS = 8;
    static final int SERVER_STREAM_BODY = 16;
    /** In place of the length of the Server header: there is no such header. */
    static final int SERVER_NO_HEADER = 0xffff;

    private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private Wire() {
    }

    static int getUnsignedShort(byte[] block, int at) {
        return (short) SHORT.get(block, at) & 0xffff;
    }

    static int getInt(byte[] block, int at) {
        return (int) INT.get(block, at);
    }

    static long getLong(byte[] block, int at) {
        return (long) LONG.get(block, at);
    }

    static void putShort(byte[] block, int at, int value) {
        SHORT.set(block, at, (short) value);
    }

    static void putInt(byte[] block, int at, int value) {
        INT.set(block, at, value);
    }

    static void putLong(byte[] block, int at, long value) {
        LONG.set(block, at, value);
    }

    private static Keyword[] methodKeywords() {
        Keyword[] keywords = new Keyword[METHODS.length];
        for (int i = 0; i < METHODS.length; i++) {
            keywords[i] = Keyword.intern(METHODS[i].toLowerCase(Locale.ROOT));
        }
        return keywords;
    }
}
