package peers;

import io.undertow.Undertow;
import io.undertow.io.IoCallback;
import io.undertow.server.HttpHandler;
import io.undertow.server.HttpServerExchange;
import io.undertow.util.HeaderMap;
import io.undertow.util.Headers;
import io.undertow.util.HttpString;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import org.xnio.IoUtils;

/** Undertow: handlers run on its I/O threads, one a core, and are dispatched to a worker where they block. */
public final class UndertowPeer implements HttpHandler {
    private static final HttpString[] JSON_NAMES = jsonNames();

    private UndertowPeer() {}

    public static void main(String[] arguments) {
        Undertow server = Undertow.builder()
                .addHttpListener(0, "127.0.0.1")
                .setIoThreads(Runtime.getRuntime().availableProcessors())
                .setWorkerThreads(Answers.BLOCKING_THREADS)
                .setHandler(new UndertowPeer())
                .build();
        server.start();
        Answers.listening(((InetSocketAddress) server.getListenerInfo().get(0).getAddress()).getPort());
    }

    @Override
    public void handleRequest(HttpServerExchange exchange) throws Exception {
        switch (exchange.getRequestPath()) {
            case "/json" -> json(exchange);
            case "/upload" -> upload(exchange);
            case "/stream" -> exchange.dispatch(UndertowPeer::stream);
            case "/file" -> file(exchange);
            case "/slow" -> exchange.dispatch(UndertowPeer::slow);
            default -> text(exchange, Answers.TEXT);
        }
    }

    private static void text(HttpServerExchange exchange, String body) {
        exchange.getResponseHeaders().put(Headers.CONTENT_TYPE, Answers.TEXT_TYPE);
        exchange.getResponseSender().send(body);
    }

    private static void json(HttpServerExchange exchange) {
        HeaderMap headers = exchange.getResponseHeaders();
        for (int i = 0; i < JSON_NAMES.length; i++) {
            headers.put(JSON_NAMES[i], Answers.JSON_HEADERS[2 * i + 1]);
        }
        exchange.getResponseSender().send(Answers.JSON);
    }

    private static void upload(HttpServerExchange exchange) {
        long[] total = {0};
        exchange.getRequestReceiver().receivePartialBytes((same, bytes, isLast) -> {
            total[0] += bytes.length;
            if (isLast) {
                text(same, Long.toString(total[0]));
            }
        });
    }

    private static void stream(HttpServerExchange exchange) throws IOException {
        exchange.getResponseHeaders().put(Headers.CONTENT_TYPE, Answers.BYTES_TYPE);
        exchange.startBlocking();
        try (InputStream from = Answers.stream()) {
            Answers.copy(from, exchange.getOutputStream());
        }
        exchange.endExchange();
    }

    private static void file(HttpServerExchange exchange) throws IOException {
        FileChannel channel = FileChannel.open(Answers.FILE);
        exchange.addExchangeCompleteListener((same, next) -> {
            IoUtils.safeClose(channel);
            next.proceed();
        });
        exchange.getResponseHeaders().put(Headers.CONTENT_TYPE, Answers.BYTES_TYPE);
        exchange.setResponseContentLength(channel.size());
        exchange.getResponseSender().transferFrom(channel, IoCallback.END_EXCHANGE);
    }

    private static void slow(HttpServerExchange exchange) {
        Answers.sleep();
        text(exchange, Answers.TEXT);
    }

    private static HttpString[] jsonNames() {
        HttpString[] names = new HttpString[Answers.JSON_HEADERS.length / 2];
        for (int i = 0; i < names.length; i++) {
            names[i] = HttpString.tryFromString(Answers.JSON_HEADERS[2 * i]);
        }
        return names;
    }
}
