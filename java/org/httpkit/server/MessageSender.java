package org.httpkit.server;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.Map;
import org.httpkit.engine.Application;
import org.httpkit.engine.Keywords;
import org.httpkit.engine.Native;
import org.httpkit.engine.NativeText;

/** Sends what {@code send!} is given to a WebSocket: one frame for each call, of the type the data ask for. */
final class MessageSender {
    private MessageSender() {
    }

    /**
     * Sends a message and returns the engine's answer. A nil is no message. Data that cannot be sent are an IllegalArgumentException; its
     * text begins as http-kit's and names the type, not the value, which may be long or private.
     */
    static int send(AsyncChannel channel, Object data) throws IOException {
        if (data == null) {
            return Native.ACCEPTED;
        }
        Object content = data instanceof Map ? ((Map<?, ?>) data).get(Keywords.BODY) : data;
        if (content instanceof String) {
            return sendText(channel, (String) content);
        }
        if (content instanceof byte[]) {
            return send(channel, Application.MESSAGE_BINARY, (byte[]) content);
        }
        if (content instanceof ByteBuffer) {
            // One buffer may be sent to many.
            ByteBuffer bytes = AnswerSender.inMemory(((ByteBuffer) content).duplicate());
            return Native.sendMessage(channel.connection(), channel.exchange(), Application.MESSAGE_BINARY,
                bytes.array(), bytes.arrayOffset() + bytes.position(), bytes.remaining());
        }
        if (content instanceof InputStream) {
            try (InputStream stream = ProxiedStream.readable((InputStream) content)) {
                return send(channel, Application.MESSAGE_BINARY, stream.readAllBytes());
            }
        }
        if (content instanceof Frame.PingFrame) {
            return send(channel, Application.MESSAGE_PING, ((Frame) content).data);
        }
        if (content instanceof Frame.PongFrame) {
            return send(channel, Application.MESSAGE_PONG, ((Frame) content).data);
        }
        throw new IllegalArgumentException("send! called with data: " + description(data, content)
            + ", but a WebSocket takes a String, byte[], ByteBuffer, InputStream, ping or pong, or a map with one as its :body");
    }

    private static int sendText(AsyncChannel channel, String text) {
        int sent = NativeText.send(channel.connection(), channel.exchange(), text);
        return sent == NativeText.NOT_TAKEN ? send(channel, Application.MESSAGE_TEXT, EncodedText.utf8(text)) : sent;
    }

    private static int send(AsyncChannel channel, int opcode, byte[] payload) {
        return Native.sendMessage(channel.connection(), channel.exchange(), opcode, payload, 0, payload.length);
    }

    private static String description(Object data, Object content) {
        String type = content == null ? "nil" : content.getClass().getName();
        return data == content ? type : "a map whose :body is " + type;
    }
}
