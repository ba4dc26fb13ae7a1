package org.httpkit.server;

import clojure.lang.Keyword;
import java.util.stream.Stream;
import org.httpkit.engine.Application;

/** How a channel ended, as on-close callbacks hear it: http-kit's keywords for its own causes and the codes of RFC 6455. */
final class CloseStatus {
    static final int SERVER = 0;
    static final int CLIENT = -1;

    /** What http-kit reports of a client that vanished, where others report 1006. */
    static final int GOING_AWAY = 1001;
    static final int NORMAL = 1000;
    static final int ABNORMAL = 1006;
    static final int INTERNAL_ERROR = 1011;
    static final int OVERLOADED = 1013;

    private static final int FIRST_CODE = 1000;
    private static final Keyword SERVER_CLOSE = Keyword.intern("server-close");
    private static final Keyword CLIENT_CLOSE = Keyword.intern("client-close");
    private static final Keyword UNKNOWN = Keyword.intern("unknown");
    /** By code from 1000; null where http-kit knows no name. */
    private static final Keyword[] NAMES = Stream.of(
        "normal", "going-away", "protocol-error", "unsupported", null, "no-status-received", "abnormal",
        "invalid-payload-data", "policy-violation", "message-too-big", "mandatory-extension", "internal-server-error",
        null, null, null, "tls-handshake").map(name -> name == null ? null : Keyword.intern(name)).toArray(Keyword[]::new);

    private CloseStatus() {
    }

    /** Returns the status of a WebSocket that ended by one of the CLOSED kinds of Application, with this code. */
    static int of(int kind, int code) {
        switch (kind) {
            case Application.CLOSED_SERVER:
                return SERVER;
            case Application.CLOSED_LOST:
                return GOING_AWAY;
            default:
                return code;
        }
    }

    /** Returns the keyword for a status. */
    static Keyword keyword(int status) {
        if (status == SERVER) {
            return SERVER_CLOSE;
        }
        if (status == CLIENT) {
            return CLIENT_CLOSE;
        }
        int index = status - FIRST_CODE;
        return index >= 0 && index < NAMES.length && NAMES[index] != null ? NAMES[index] : UNKNOWN;
    }
}
