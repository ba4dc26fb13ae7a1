package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import clojure.lang.AFn;
import clojure.lang.IFn;
import clojure.lang.IKVReduce;
import clojure.lang.ISeq;
import clojure.lang.Seqable;
import java.math.BigInteger;
import java.nio.charset.Charset;
import java.util.Arrays;
import java.util.Map;

/**
 * Writes response blocks from what a handler returned: status, headers and, if it is small, the body.
 *
 * <p>Refuses what must not reach the wire with an IllegalArgumentException, and leaves out the two headers that are the engine's:
 * Content-Length, whose value it keeps for answers without a body, and Transfer-Encoding.
 */
public final class ResponseWriter {
    /** A body up to this size travels in the block: copying it twice is cheaper than a second call. */
    public static final int INLINE_BODY = 32 * 1024;
    /** The value of {@link #handlerLength} when the handler declared none. */
    public static final long NO_LENGTH = -1;

    private static final int INITIAL_BLOCK = 1024;
    /** A block that grew beyond this is not kept for the next response. */
    private static final int KEPT_BLOCK = 64 * 1024;
    /** Up to this length a String is written character by character, beyond it by way of the JDK's vectorised encoder. */
    private static final int SHORT_TEXT = 128;
    private static final String CONTENT_LENGTH = "content-length";
    private static final String CONTENT_TYPE = "content-type";
    private static final String TRANSFER_ENCODING = "transfer-encoding";
    private static final String UTF_8_PARAMETER = "charset=utf-8";
    private static final boolean[] TOKEN = tokenCharacters();
    private static final ThreadLocal<ResponseWriter> KEPT = new ThreadLocal<>();

    private final IFn headerReducer = new AFn() {
        @Override
        public Object invoke(Object accumulator, Object name, Object value) {
            header(name, value);
            return accumulator;
        }
    };

    private byte[] block = new byte[INITIAL_BLOCK];
    private int length;
    private int headerCount;
    private long handlerLength;
    private String contentType;
    /** Null in a writer that serves one response. */
    private KnownTexts names;
    private KnownTexts values;
    private KnownHeads heads;
    /** All values of the headers so far are Strings, and so will be the same next time. */
    private boolean onlyTexts;

    ResponseWriter() {
    }

    /**
     * Returns a writer for the caller alone, to be given back with {@link #release}. A kept one is not on offer while it is in use:
     * header values may be lazy, and what they compute may answer another exchange.
     */
    public static ResponseWriter acquire() {
        if (VirtualThreads.isCurrent()) {
            return new ResponseWriter();
        }
        ResponseWriter kept = KEPT.get();
        if (kept == null) {
            return new ResponseWriter();
        }
        KEPT.set(null);
        return kept;
    }

    /** Gives the writer back. Never throws: its response may be on its way already. */
    public void release() {
        if (block.length <= KEPT_BLOCK && !VirtualThreads.isCurrent()) {
            try {
                keep();
            } catch (OutOfMemoryError noMemory) {
                // Then the next response has a new one.
            }
        }
    }

    private void keep() {
        if (heads == null) {
            names = new KnownTexts();
            values = new KnownTexts();
            heads = new KnownHeads();
        }
        KEPT.set(this);
    }

    /** Returns the status a Ring response asks for: any integer from 100 to 999, or 200 for nil. */
    public static int status(Object status) {
        if (status == null) {
            return 200;
        }
        if (status instanceof Long) {
            long code = (Long) status;
            if (code >= 100 && code <= 999) {
                return (int) code;
            }
        }
        if (status instanceof Long || status instanceof Integer || status instanceof Short || status instanceof Byte
            || status instanceof BigInteger || status instanceof clojure.lang.BigInt) {
            Number number = (Number) status;
            // The narrowing of a big number may wrap round into the range, so it is compared as text.
            int code = number.intValue();
            if (code >= 100 && code <= 999 && Integer.toString(code).equals(number.toString())) {
                return code;
            }
        }
        String type = status instanceof Number ? "" : " (" + status.getClass().getName() + ")";
        throw new IllegalArgumentException("Invalid HTTP status code: " + status + type);
    }

    /** Returns the value as a map, nil for nil; what it is goes into the ClassCastException for anything else. */
    public static Map<?, ?> map(String what, Object value) {
        if (value == null || value instanceof Map) {
            return (Map<?, ?>) value;
        }
        throw new ClassCastException(what + " must be a map, got " + value.getClass().getName());
    }

    /** Begins a block with a status and the headers of a Ring response: a map, or nil. */
    public void head(int status, Object headers) {
        Arrays.fill(block, 0, Wire.RESPONSE_HEAD, (byte) 0);
        Wire.putShort(block, Wire.RESPONSE_STATUS, status);
        length = Wire.RESPONSE_HEAD;
        headerCount = 0;
        handlerLength = NO_LENGTH;
        contentType = null;
        onlyTexts = true;
        KnownHeads.Head known = heads == null || headers == null ? null : heads.find(headers);
        if (known != null) {
            append(known.lines, 0, known.lines.length);
            headerCount = known.count;
            handlerLength = known.handlerLength;
            contentType = known.contentType;
            return;
        }
        // Vectors reduce with keys as well, but they are no headers.
        Map<?, ?> map = map(":headers of a response", headers);
        if (map instanceof IKVReduce) {
            ((IKVReduce) map).kvreduce(headerReducer, null);
        } else if (map != null) {
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                header(entry.getKey(), entry.getValue());
            }
        }
        if (heads != null && map != null && onlyTexts) {
            heads.offer(map, this);
        }
    }

    /** Adds a header: one line, a line for each element of a Clojure sequence, or none for nil. */
    public void header(Object name, Object value) {
        if (!(name instanceof String)) {
            throw new IllegalArgumentException("Invalid HTTP header name: " + name);
        }
        String text = (String) name;
        if (value == null) {
            leaveOut(text);
            return;
        }
        onlyTexts &= value instanceof String;
        if (text.length() == CONTENT_LENGTH.length() && text.equalsIgnoreCase(CONTENT_LENGTH)) {
            handlerLength = handlerLength == NO_LENGTH ? parseLength(value) : handlerLength;
        } else if (text.length() == TRANSFER_ENCODING.length() && text.equalsIgnoreCase(TRANSFER_ENCODING)) {
            return;
        } else if (value instanceof String) {
            line(text, (String) value);
            if (text.length() == CONTENT_TYPE.length() && text.equalsIgnoreCase(CONTENT_TYPE)) {
                contentType = (String) value;
            }
        } else if (value instanceof Seqable) {
            ISeq all = ((Seqable) value).seq();
            if (all == null) {
                leaveOut(text);
            }
            for (ISeq seq = all; seq != null; seq = seq.next()) {
                if (seq.first() == null) {
                    throw new IllegalArgumentException("A value of HTTP header " + text + " is nil");
                }
                line(text, seq.first().toString());
            }
        } else {
            line(text, value.toString());
        }
    }

    /** A header without a value is not sent. If the engine would add one of that name, it is told by an empty one not to. */
    private void leaveOut(String name) {
        if (name.equalsIgnoreCase("server") || name.equalsIgnoreCase("date")) {
            line(name, "");
        }
    }

    /** Returns the status of the block. */
    public int status() {
        return Wire.getUnsignedShort(block, Wire.RESPONSE_STATUS);
    }

    /** Returns the Content-Type among the handler's headers, or null. */
    String contentType() {
        return contentType;
    }

    /** Returns the number of header lines in the block so far. */
    public int headerCount() {
        return headerCount;
    }

    /** Returns the Content-Length among the handler's headers, or {@link #NO_LENGTH}. */
    public long handlerLength() {
        return handlerLength;
    }

    /** Returns the encoding the Content-Type header names for a text, UTF-8 if it names none. Throws if nobody knows it. */
    public Charset charset() {
        // Nearly every type ends without parameters, or with this one.
        if (contentType == null || contentType.indexOf(';') < 0
            || contentType.regionMatches(true, contentType.length() - UTF_8_PARAMETER.length(), UTF_8_PARAMETER, 0,
                UTF_8_PARAMETER.length())) {
            return UTF_8;
        }
        String name = ContentType.charset(contentType);
        return name == null ? UTF_8 : Charset.forName(name);
    }

    /** Declares a length for an answer that carries no body: one to HEAD, or a 304. */
    public void declare(long bytes) {
        block[Wire.RESPONSE_FLAGS] = Wire.RESPONSE_FLAG_DECLARED;
        Wire.putLong(block, Wire.RESPONSE_DECLARED_LENGTH, bytes);
    }

    /** Completes the block with a body. */
    public void body(byte[] bytes, int offset, int count) {
        finishHead();
        append(bytes, offset, count);
        Wire.putInt(block, Wire.RESPONSE_BODY_LENGTH, count);
    }

    /** Completes the block with a text in UTF-8. */
    public void body(String text) {
        finishHead();
        int start = length;
        utf8(text, false);
        Wire.putInt(block, Wire.RESPONSE_BODY_LENGTH, length - start);
    }

    /** Completes the block without a body. */
    public void finishHead() {
        Wire.putShort(block, Wire.RESPONSE_HEADER_COUNT, headerCount);
    }

    /** Returns the array whose first {@link #length} bytes are the block. */
    public byte[] block() {
        return block;
    }

    /** Returns the length of the block. */
    public int length() {
        return length;
    }

    private void line(String name, String value) {
        if (++headerCount > 0xffff) {
            throw new IllegalArgumentException("More than 65535 HTTP header lines");
        }
        if (!known(names, name)) {
            int start = length;
            name(name);
            learn(names, name, start);
        }
        ensure(4);
        int start = length;
        length += 4;
        if (!known(values, value)) {
            utf8(value, true);
            learn(values, value, start + 4);
        }
        Wire.putInt(block, start, length - start - 4);
    }

    private void name(String name) {
        int size = name.length();
        if (size == 0 || size > 0xffff) {
            throw new IllegalArgumentException("Invalid HTTP header name: " + name);
        }
        ensure(2 + size);
        Wire.putShort(block, length, size);
        length += 2;
        for (int i = 0; i < size; i++) {
            char c = name.charAt(i);
            if (c >= TOKEN.length || !TOKEN[c]) {
                throw new IllegalArgumentException("Invalid HTTP header name: " + name);
            }
            block[length++] = (byte) c;
        }
    }

    private boolean known(KnownTexts texts, String text) {
        byte[] bytes = texts == null ? null : texts.find(text);
        if (bytes == null) {
            return false;
        }
        append(bytes, 0, bytes.length);
        return true;
    }

    private void learn(KnownTexts texts, String text, int start) {
        if (texts != null) {
            texts.offer(text, block, start, length);
        }
    }

    private void utf8(String text, boolean checked) {
        int size = text.length();
        if (size <= SHORT_TEXT) {
            ensure(size);
            int at = length;
            for (int i = 0; i < size; i++) {
                char c = text.charAt(i);
                if (c >= 0x80) {
                    length = at;
                    append(text.substring(i).getBytes(UTF_8), checked);
                    return;
                }
                if (checked && (c < ' ' && c != '\t' || c == 0x7f)) {
                    throw invalidValue();
                }
                block[at++] = (byte) c;
            }
            length = at;
        } else {
            append(text.getBytes(UTF_8), checked);
        }
    }

    private void append(byte[] bytes, boolean checked) {
        if (checked) {
            for (byte b : bytes) {
                if (b >= 0 && b < ' ' && b != '\t' || b == 0x7f) {
                    throw invalidValue();
                }
            }
        }
        append(bytes, 0, bytes.length);
    }

    private void append(byte[] bytes, int offset, int count) {
        ensure(count);
        System.arraycopy(bytes, offset, block, length, count);
        length += count;
    }

    private void ensure(int more) {
        if (block.length - length < more) {
            block = Arrays.copyOf(block, Math.max(2 * block.length, Math.addExact(length, more)));
        }
    }

    private static IllegalArgumentException invalidValue() {
        return new IllegalArgumentException("Invalid character in HTTP header value");
    }

    /** A value that is no length is as good as none: the engine counts for itself wherever there is a body. */
    private static long parseLength(Object value) {
        Object only = value;
        if (value instanceof Seqable) {
            ISeq all = ((Seqable) value).seq();
            only = all == null || all.next() != null ? null : all.first();
        }
        try {
            long bytes = Long.parseLong(String.valueOf(only).trim());
            return bytes < 0 ? NO_LENGTH : bytes;
        } catch (NumberFormatException e) {
            return NO_LENGTH;
        }
    }

    /** RFC 9110 section 5.6.2. */
    private static boolean[] tokenCharacters() {
        boolean[] token = new boolean[128];
        for (char c = '!'; c < 0x7f; c++) {
            token[c] = Character.isLetterOrDigit(c) || "!#$%&'*+-.^_`|~".indexOf(c) >= 0;
        }
        return token;
    }
}
