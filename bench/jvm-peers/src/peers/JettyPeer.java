package peers;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.ByteBufferPool;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.VirtualThreads;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/**
 * Jetty 12 with a core handler and its default thread pool. The argument chooses where handlers run:
 * {@code default} on the pool's threads, {@code virtual} on virtual threads, {@code non-blocking} on the
 * thread that selects, where only the routes that block are given to the pool.
 */
public final class JettyPeer extends Handler.Abstract {
    private static final int FILE_BUFFER_BYTES = 64 * 1024;
    private static final String TEXT_LENGTH = Integer.toString(Answers.TEXT.length());

    private final boolean isNonBlocking;

    private JettyPeer(boolean isNonBlocking) {
        super(isNonBlocking ? InvocationType.NON_BLOCKING : InvocationType.BLOCKING);
        this.isNonBlocking = isNonBlocking;
    }

    public static void main(String[] arguments) throws Exception {
        String configuration = arguments[0];
        QueuedThreadPool pool = new QueuedThreadPool();
        if (configuration.equals("virtual")) {
            pool.setVirtualThreadsExecutor(VirtualThreads.getDefaultVirtualThreadsExecutor());
        }
        Server server = new Server(pool);
        HttpConfiguration http = new HttpConfiguration();
        http.setSendDateHeader(true);
        ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(http));
        connector.setHost("127.0.0.1");
        server.addConnector(connector);
        server.setHandler(new JettyPeer(configuration.equals("non-blocking")));
        server.start();
        Answers.listening(connector.getLocalPort());
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) throws Exception {
        String path = Request.getPathInContext(request);
        switch (path) {
            case "/json" -> json(response, callback);
            case "/file" -> file(request, response, callback);
            case "/upload", "/stream", "/slow" -> {
                if (isNonBlocking) {
                    getServer().getThreadPool().execute(() -> blocking(path, request, response, callback));
                } else {
                    blocking(path, request, response, callback);
                }
            }
            default -> text(Answers.TEXT, TEXT_LENGTH, response, callback);
        }
        return true;
    }

    private static void text(String body, String length, Response response, Callback callback) {
        HttpFields.Mutable headers = response.getHeaders();
        headers.put(HttpHeader.CONTENT_TYPE, Answers.TEXT_TYPE);
        headers.put(HttpHeader.CONTENT_LENGTH, length);
        Content.Sink.write(response, true, body, callback);
    }

    private static void json(Response response, Callback callback) {
        HttpFields.Mutable headers = response.getHeaders();
        for (int i = 0; i < Answers.JSON_HEADERS.length; i += 2) {
            headers.put(Answers.JSON_HEADERS[i], Answers.JSON_HEADERS[i + 1]);
        }
        Content.Sink.write(response, true, Answers.JSON, callback);
    }

    private static void file(Request request, Response response, Callback callback) {
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, Answers.BYTES_TYPE);
        response.getHeaders().put(HttpHeader.CONTENT_LENGTH, Answers.FILE.toFile().length());
        ByteBufferPool pool = request.getComponents().getByteBufferPool();
        ByteBufferPool.Sized buffers = new ByteBufferPool.Sized(pool, true, FILE_BUFFER_BYTES);
        Content.copy(Content.Source.from(buffers, Answers.FILE), response, callback);
    }

    private static void blocking(String path, Request request, Response response, Callback callback) {
        try {
            switch (path) {
                case "/upload" -> {
                    String count = Long.toString(Answers.count(Request.asInputStream(request)));
                    text(count, Integer.toString(count.length()), response, callback);
                }
                case "/stream" -> stream(request, response, callback);
                default -> {
                    Answers.sleep();
                    text(Answers.TEXT, TEXT_LENGTH, response, callback);
                }
            }
        } catch (IOException | RuntimeException error) {
            callback.failed(error);
        }
    }

    private static void stream(Request request, Response response, Callback callback) throws IOException {
        response.getHeaders().put(HttpHeader.CONTENT_TYPE, Answers.BYTES_TYPE);
        try (InputStream from = Answers.stream();
                OutputStream to = Response.asBufferedOutputStream(request, response)) {
            Answers.copy(from, to);
        }
        callback.succeeded();
    }
}
