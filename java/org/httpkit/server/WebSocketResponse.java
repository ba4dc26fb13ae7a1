package org.httpkit.server;

import java.util.Map;

/** How responses ask for a WebSocket: Ring's listeners, where Ring is on the class path. */
public interface WebSocketResponse {
    /** Returns true if the response is one of these, whatever the request asked for. */
    boolean isUpgrade(Map<?, ?> response);

    /** Upgrades the channel, or refuses through it. What it throws before anything was sent is answered with 500. */
    void upgrade(AsyncChannel channel, Object request, Map<?, ?> response) throws Exception;
}
