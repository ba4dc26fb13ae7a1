package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import clojure.lang.IPersistentMap;
import clojure.lang.PersistentArrayMap;
import clojure.lang.PersistentHashMap;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.Supplier;
import org.httpkit.BytesInputStream;

/**
 * Reads request blocks: first the few facts dispatch needs, then the Ring map.
 *
 * <p>One per worker, reused for every request. The block is copied to the heap in one go because Strings can only be made from
 * there, and the maps are built from plain arrays because that is several times cheaper than a transient.
 */
public final class RequestReader {
    /** Clojure reads an array map faster than a hash map up to about this size; browsers send some 15 headers. */
    private static final int ARRAY_MAP_HEADERS = 16;
    private static final byte[] NOTHING = {};
    private static final int INITIAL_BLOCK = 8 * 1024;
    /** A block bigger than this is rare; its copy is not kept. */
    private static final int KEPT_BLOCK = 64 * 1024;

    private final HeaderMaps headerMaps = new HeaderMaps();
    private final LastText serverNames = new LastText();
    private final LastText remoteAddresses = new LastText();
    private byte[] block = new byte[INITIAL_BLOCK];
    private int blockLength;
    private byte[] body;
    private int flags;
    private int route;
    private int method;
    private int afterUri;
    private String uri;
    private Integer port = 80;

    /** Takes the next request: {@code length} bytes of block in the buffer, and its body if that travels apart. */
    public void read(ByteBuffer buffer, int length, int routeNumber, byte[] separateBody) {
        if (length > block.length || block.length > KEPT_BLOCK) {
            block = new byte[Math.max(length, INITIAL_BLOCK)];
        }
        buffer.clear();
        buffer.get(block, 0, length);
        blockLength = length;
        body = separateBody;
        route = routeNumber;
        method = block[Wire.REQUEST_METHOD];
        flags = block[Wire.REQUEST_FLAGS];
        int uriLength = Wire.getInt(block, Wire.REQUEST_URI_LENGTH);
        uri = text(Wire.REQUEST_HEAD, uriLength);
        afterUri = Wire.REQUEST_HEAD + uriLength;
    }

    /** Returns true if the engine wants the handler run on this thread. */
    public boolean isInPlace() {
        return (flags & Wire.FLAG_IN_PLACE) != 0;
    }

    /** Returns true if the body is still to come, piece by piece from {@link Native#receive}. */
    public boolean isStreamed() {
        return (flags & Wire.FLAG_BODY_STREAMED) != 0;
    }

    /** Returns the number under which the time of the handler is reported to {@link Native#observe}. */
    public int route() {
        return route;
    }

    /** Returns true if Upgrade lists websocket, whatever the rest of the handshake looks like. */
    public boolean isWebSocket() {
        return (flags & Wire.FLAG_WEBSOCKET) != 0;
    }

    /** Returns true for HTTP/1.1, false for HTTP/1.0. */
    public boolean isHttp11() {
        return (flags & Wire.FLAG_HTTP11) != 0;
    }

    /** Returns true if the method is HEAD. */
    public boolean isHead() {
        return method == Wire.METHOD_HEAD;
    }

    /** Returns the method in upper case. */
    public String method() {
        return Wire.METHODS[method];
    }

    /** Returns the request target up to the first question mark. */
    public String uri() {
        return uri;
    }

    /** Returns the Ring map of the request as http-kit fills it; to be called once, as an inline body is taken from the block. */
    public IPersistentMap ringRequest(Object channel) {
        return ringRequest(channel, null, null);
    }

    /**
     * As {@link #ringRequest(Object)}, with the body of a request that {@link #isStreamed}.
     *
     * <p>Unless {@code localAddress} is null every value is what Ring's SPEC says: nil for a length or charset that was not sent, the
     * whole Content-Type, the path of a URI that names its host, and a name and address always. {@code localAddress} gives that of the
     * connection as {@link Native#localAddress} writes it.
     */
    public IPersistentMap ringRequest(Object channel, InputStream streamed, Supplier<String> localAddress) {
        boolean spec = localAddress != null;
        int at = afterUri;
        String query = null;
        if ((flags & Wire.FLAG_QUERY) != 0) {
            int length = Wire.getInt(block, Wire.REQUEST_QUERY_LENGTH);
            query = text(at, length);
            at += length;
        }
        String serverName = null;
        if ((flags & Wire.FLAG_SERVER_NAME) != 0) {
            int length = Wire.getUnsignedShort(block, Wire.REQUEST_SERVER_NAME_LENGTH);
            serverName = serverNames.read(block, at, length);
            at += length;
        }
        String remoteAddress = null;
        if ((flags & Wire.FLAG_REMOTE_ADDRESS) != 0) {
            int length = Wire.getUnsignedShort(block, Wire.REQUEST_REMOTE_ADDRESS_LENGTH);
            remoteAddress = remoteAddresses.read(block, at, length);
            at += length;
        }
        int contentLength = Wire.getInt(block, Wire.REQUEST_BODY_LENGTH);
        boolean isInline = (flags & Wire.FLAG_BODY_INLINE) != 0;
        int afterHeaders = isInline ? blockLength - contentLength : blockLength;
        HeaderMaps.Entry headers = headerMaps.find(block, at, afterHeaders);
        if (headers == null) {
            headers = headerMaps.keep(block, at, afterHeaders, headers(at));
        }
        byte[] content = contentLength == 0 ? null : isInline ? Arrays.copyOfRange(block, afterHeaders, blockLength) : body;
        String contentType = headers.contentType;
        if (spec && content == null && streamed == null && contentType != null) {
            // Ring's own middleware for multipart forms reads what has a type without asking.
            content = NOTHING;
        }
        String charset = contentType == null ? null : ContentType.charset(contentType);
        int serverPort = Wire.getInt(block, Wire.REQUEST_SERVER_PORT);
        if (spec && serverName == null) {
            String local = localAddress.get();
            int colon = local == null ? -1 : local.lastIndexOf(':');
            serverName = colon < 0 ? "localhost" : local.substring(1, colon);
            serverPort = colon < 0 ? serverPort : Integer.parseInt(local.substring(colon + 1));
        }
        if (port != serverPort) {
            port = serverPort;
        }
        // What handlers and routers read most comes first: an array map is searched from the front.
        return new PersistentArrayMap(new Object[] {
            Keywords.REQUEST_METHOD, Wire.METHOD_KEYWORDS[method],
            Keywords.URI, spec ? path(uri) : uri,
            Keywords.HEADERS, headers.map,
            Keywords.BODY, content == null ? streamed : new BytesInputStream(content, content.length),
            Keywords.QUERY_STRING, query,
            Keywords.ASYNC_CHANNEL, channel,
            Keywords.WEBSOCKET, isWebSocket() ? Boolean.TRUE : Boolean.FALSE,
            Keywords.SCHEME, Keywords.HTTP,
            Keywords.SERVER_NAME, serverName,
            Keywords.SERVER_PORT, port,
            Keywords.REMOTE_ADDR, spec && remoteAddress == null ? "" : remoteAddress,
            Keywords.PROTOCOL, isHttp11() ? "HTTP/1.1" : "HTTP/1.0",
            Keywords.CONTENT_TYPE, spec || charset == null ? contentType : ContentType.withoutParameters(contentType),
            Keywords.CONTENT_LENGTH, streamed == null ? collectedLength(headers, contentLength, spec) : declaredLength(headers),
            Keywords.CHARACTER_ENCODING, charset == null && !spec ? "utf8" : charset,
            Keywords.START_TIME, received(),
        });
    }

    /** Returns when the request was received, or its head if {@link #isStreamed}: nanoseconds as of {@link System#nanoTime}. */
    private long received() {
        long nanos = Wire.getLong(block, Wire.REQUEST_RECEIVED);
        return nanos == 0 ? System.nanoTime() : nanos;
    }

    private static Number collectedLength(HeaderMaps.Entry headers, int length, boolean spec) {
        return spec && !headers.lengthDeclared ? null : (Integer) length;
    }

    /** Returns the length of a body that is still to come, null if it is chunked; an Integer, as ever, where it fits. */
    private static Number declaredLength(HeaderMaps.Entry headers) {
        if (!headers.lengthDeclared) {
            return null;
        }
        long length = Long.parseLong((String) headers.map.valAt("content-length"));
        return length <= Integer.MAX_VALUE ? (Number) (int) length : (Number) length;
    }

    private HeaderMaps.Entry headers(int start) {
        int count = Wire.getUnsignedShort(block, Wire.REQUEST_HEADER_COUNT);
        Object[] fields = new Object[2 * count];
        String contentType = null;
        boolean lengthDeclared = false;
        int at = start;
        for (int i = 0; i < fields.length; i += 2) {
            int index = block[at++] & 0xff;
            if (index == 0) {
                int length = Wire.getUnsignedShort(block, at);
                fields[i] = text(at + 2, length);
                at += 2 + length;
            } else {
                fields[i] = HeaderNames.get(index);
            }
            int length = Wire.getInt(block, at);
            String value = text(at + 4, length);
            at += 4 + length;
            fields[i + 1] = value;
            if (index == HeaderNames.CONTENT_TYPE) {
                contentType = value;
            } else if (index == HeaderNames.CONTENT_LENGTH) {
                lengthDeclared = true;
            }
        }
        IPersistentMap map = count <= ARRAY_MAP_HEADERS ? new PersistentArrayMap(fields) : PersistentHashMap.create(fields);
        return new HeaderMaps.Entry(map, contentType, lengthDeclared);
    }

    /** Returns the path of a request target, which in absolute-form (RFC 9112 section 3.2.2) is a whole URI. */
    private static String path(String target) {
        int authority = target.startsWith("/") ? -1 : target.indexOf("://");
        if (authority < 0) {
            return target;
        }
        int slash = target.indexOf('/', authority + 3);
        return slash < 0 ? "/" : target.substring(slash);
    }

    private String text(int at, int length) {
        return length == 0 ? "" : new String(block, at, length, ISO_8859_1);
    }
}
