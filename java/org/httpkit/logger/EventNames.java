package org.httpkit.logger;

import java.util.Map;

/**
 * The names under which events are logged.
 *
 * <p>The field names are the keys of run-server's {@code :event-names}; the values are http-kit's unless the user gave others.
 */
public class EventNames {
    public static final EventNames DEFAULT = new EventNames(Map.of());

    /** Accepting a connection failed. */
    public final String serverAcceptError;
    /** The engine failed in a way it did not expect. */
    public final String serverLoopError;
    /** A client broke the WebSocket protocol. */
    public final String serverWsDecodeError;
    /** A WebSocket message handler threw. */
    public final String serverWsFrameError;
    /** An on-close handler threw. */
    public final String serverChannelCloseError;
    /** Prefix for the status of a response a handler returned. */
    public final String serverStatusPrefix;
    /** A handler returned nil. */
    public final String serverStatus404;
    /** A request body was too large. */
    public final String serverStatus413;
    /** A request line was too long. */
    public final String serverStatus414;
    /** A handler threw. */
    public final String serverStatus500;
    /** The pool rejected a request. */
    public final String serverStatus503;
    /** The pool rejected a task for which no 503 can be sent. */
    public final String serverStatus503Todo;
    /** For http-kit's client: code that is not meant to be reached. */
    public final String clientImpossible;

    /** Uses the given names by field name, and the defaults for the rest. */
    public EventNames(Map<String, String> names) {
        serverAcceptError = name(names, "serverAcceptError", "httpkit.server.accept.error");
        serverLoopError = name(names, "serverLoopError", "httpkit.server.loop.error");
        serverWsDecodeError = name(names, "serverWsDecodeError", "httpkit.server.ws.decode.error");
        serverWsFrameError = name(names, "serverWsFrameError", "httpkit.server.ws.frame.error");
        serverChannelCloseError = name(names, "serverChannelCloseError", "httpkit.server.channel.close.error");
        serverStatusPrefix = name(names, "serverStatusPrefix", "httpkit.server.status.processed.");
        serverStatus404 = name(names, "serverStatus404", "httpkit.server.status.404");
        serverStatus413 = name(names, "serverStatus413", "httpkit.server.status.413");
        serverStatus414 = name(names, "serverStatus414", "httpkit.server.status.414");
        serverStatus500 = name(names, "serverStatus500", "httpkit.server.status.500");
        serverStatus503 = name(names, "serverStatus503", "httpkit.server.status.503");
        serverStatus503Todo = name(names, "serverStatus503Todo", "httpkit.server.status.503.todo");
        clientImpossible = name(names, "clientImpossible", "httpkit.client.impossible");
    }

    private static String name(Map<String, String> names, String key, String defaultName) {
        return names.containsKey(key) ? names.get(key) : defaultName;
    }
}
