package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;

/**
 * What a server is started with, and its encoding as a server configuration block.
 *
 * <p>Holds checked values only: {@code org.httpkit.engine.options} reads the user's options.
 */
public final class Configuration {
    /** Handlers run on the pool. */
    public static final int DISPATCH_POOL = 0;
    /** Handlers run on the thread that read the request. */
    public static final int DISPATCH_IN_PLACE = 1;
    /** Handlers of quick routes run in place, the others on the pool. */
    public static final int DISPATCH_ADAPTIVE = 2;

    private static final int KIND_TCP = 0;
    private static final int KIND_UNIX = 1;
    private static final int FIXED_LENGTH = 56;
    private static final int CHANNELS_LENGTH = 28;

    private int kind = KIND_TCP;
    private int flags;
    private int proxyProtocol;
    private int dispatch;
    private int inPlaceBudgetMicros;
    private int port;
    private int maxHeaders;
    private int backlog;
    private int receiveBuffer;
    private int maxConnections;
    private long maxBody;
    private int maxLine;
    private int maxHead;
    private int headerTimeoutMillis;
    private int bodyTimeoutMillis;
    private int writeTimeoutMillis;
    private int keepAliveTimeoutMillis;
    private int maxMessage;
    private int maxPending;
    private long maxPendingTotal;
    private long maxReceivedTotal;
    private int pingIntervalMillis;
    private byte[] address = {};
    private byte[] serverHeader;
    private final List<byte[]> trustedProxies = new ArrayList<>();

    /** Listens on an IP address (a literal) and port; with {@code dualStack} on IPv6 as well. */
    public void tcp(String literal, int listenPort, boolean dualStack) {
        kind = KIND_TCP;
        address = literal.getBytes(UTF_8);
        port = listenPort;
        flag(Wire.SERVER_DUAL_STACK, dualStack);
    }

    /** Listens on a Unix domain socket. */
    public void unix(String path) {
        kind = KIND_UNIX;
        address = path.getBytes(UTF_8);
    }

    /** Sets the options of the listening socket; a receive buffer of 0 bytes leaves its size to the system. */
    public void socket(boolean reuseAddress, boolean reusePort, int receiveBufferBytes, int backlogLength) {
        flag(Wire.SERVER_REUSE_ADDRESS, reuseAddress);
        flag(Wire.SERVER_REUSE_PORT, reusePort);
        receiveBuffer = receiveBufferBytes;
        backlog = backlogLength;
    }

    /** Sets where handlers run, one of the DISPATCH constants, and for how long in place before a route counts as slow. */
    public void dispatch(int mode, int budgetMicros) {
        dispatch = mode;
        inPlaceBudgetMicros = budgetMicros;
    }

    /** Sets whom to believe about the client's address. {@code proxy}: 0 no PROXY line, 1 required, 2 optional. */
    public void clientAddress(int proxy, boolean fromForwardedFor, Iterable<String> proxies) {
        proxyProtocol = proxy;
        flag(Wire.SERVER_LEGACY_REMOTE_ADDRESS, fromForwardedFor);
        trustedProxies.clear();
        for (String network : proxies) {
            trustedProxies.add(network.getBytes(UTF_8));
        }
    }

    /** Sets the limits of requests in bytes, of header lines, and of connections (0: any number). */
    public void limits(long body, int line, int head, int headers, int connections) {
        maxBody = body;
        maxLine = line;
        maxHead = head;
        maxHeaders = headers;
        maxConnections = connections;
    }

    /** Sets whether a body of more than 64 KiB, or a chunked one, is read while it arrives. */
    public void streamBody(boolean stream) {
        flag(Wire.SERVER_STREAM_BODY, stream);
    }

    /** Sets the deadlines in milliseconds; 0 is none. */
    public void timeouts(int header, int body, int write, int keepAlive) {
        headerTimeoutMillis = header;
        bodyTimeoutMillis = body;
        writeTimeoutMillis = write;
        keepAliveTimeoutMillis = keepAlive;
    }

    /**
     * Sets the limits of channels: bytes of a WebSocket message, bytes that may wait for a client and for all clients together, bytes that
     * messages and request bodies which are not complete may hold together (0: any number), and milliseconds between pings (0: none are
     * sent).
     */
    public void channels(int message, int pending, long pendingTotal, long receivedTotal, int pingInterval) {
        maxMessage = message;
        maxPending = pending;
        maxPendingTotal = pendingTotal;
        maxReceivedTotal = receivedTotal;
        pingIntervalMillis = pingInterval;
    }

    /** Sets the value of the Server header, null for none. */
    public void serverHeader(String value) {
        serverHeader = value == null ? null : value.getBytes(UTF_8);
    }

    /** Returns the block. */
    public byte[] encode() {
        int length = FIXED_LENGTH + 2 + address.length + 2 + (serverHeader == null ? 0 : serverHeader.length) + 2 + CHANNELS_LENGTH;
        for (byte[] network : trustedProxies) {
            length += 2 + network.length;
        }
        byte[] block = new byte[length];
        block[0] = (byte) kind;
        block[1] = (byte) flags;
        block[2] = (byte) proxyProtocol;
        block[3] = (byte) dispatch;
        Wire.putShort(block, 4, port);
        Wire.putShort(block, 6, maxHeaders);
        Wire.putInt(block, 8, backlog);
        Wire.putInt(block, 12, receiveBuffer);
        Wire.putInt(block, 16, maxConnections);
        Wire.putLong(block, 20, maxBody);
        Wire.putInt(block, 28, maxLine);
        Wire.putInt(block, 32, maxHead);
        Wire.putInt(block, 36, headerTimeoutMillis);
        Wire.putInt(block, 40, bodyTimeoutMillis);
        Wire.putInt(block, 44, writeTimeoutMillis);
        Wire.putInt(block, 48, keepAliveTimeoutMillis);
        Wire.putInt(block, 52, inPlaceBudgetMicros);
        int at = text(block, FIXED_LENGTH, address);
        if (serverHeader == null) {
            Wire.putShort(block, at, Wire.SERVER_NO_HEADER);
            at += 2;
        } else {
            at = text(block, at, serverHeader);
        }
        Wire.putShort(block, at, trustedProxies.size());
        at += 2;
        for (byte[] network : trustedProxies) {
            at = text(block, at, network);
        }
        Wire.putInt(block, at, maxMessage);
        Wire.putInt(block, at + 4, maxPending);
        Wire.putLong(block, at + 8, maxPendingTotal);
        Wire.putLong(block, at + 16, maxReceivedTotal);
        Wire.putInt(block, at + 24, pingIntervalMillis);
        return block;
    }

    private void flag(int flag, boolean set) {
        flags = set ? flags | flag : flags & ~flag;
    }

    private static int text(byte[] block, int at, byte[] text) {
        Wire.putShort(block, at, text.length);
        System.arraycopy(text, 0, block, at + 2, text.length);
        return at + 2 + text.length;
    }
}
