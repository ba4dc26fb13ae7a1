package peers;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.DefaultFileRegion;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.HttpChunkedInput;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.handler.stream.ChunkedStream;
import io.netty.handler.stream.ChunkedWriteHandler;
import io.netty.util.AsciiString;
import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The routes of one connection. Everything but sleeping runs on the connection's event loop. */
final class NettyHandler extends SimpleChannelInboundHandler<HttpObject> {
    private static final int CHUNK_BYTES = 32 * 1024;
    private static final AsciiString TEXT_TYPE = AsciiString.cached(Answers.TEXT_TYPE);
    private static final AsciiString[] JSON_HEADERS = asciiHeaders();
    private static final ExecutorService BLOCKING = Executors.newFixedThreadPool(Answers.BLOCKING_THREADS);

    private HttpRequest request;
    private long received;

    @Override
    protected void channelRead0(ChannelHandlerContext context, HttpObject message) throws IOException {
        if (message instanceof HttpRequest head) {
            request = head;
            received = 0;
        }
        if (message instanceof HttpContent content) {
            received += content.content().readableBytes();
        }
        if (message instanceof LastHttpContent) {
            answer(context);
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        // Answers to requests that arrived together leave together.
        context.flush();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        context.close();
    }

    private void answer(ChannelHandlerContext context) throws IOException {
        switch (request.uri()) {
            case "/json" -> write(context, request, json(context));
            case "/upload" -> write(context, request, text(context, Long.toString(received)));
            case "/stream" -> stream(context);
            case "/file" -> file(context);
            case "/slow" -> slow(context, request);
            default -> write(context, request, text(context, Answers.TEXT));
        }
    }

    private static DefaultFullHttpResponse full(ChannelHandlerContext context, String body) {
        ByteBuf bytes = ByteBufUtil.writeUtf8(context.alloc(), body);
        DefaultFullHttpResponse response =
                new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, bytes);
        response.headers().set(HttpHeaderNames.CONTENT_LENGTH, bytes.readableBytes());
        return response;
    }

    private static DefaultFullHttpResponse text(ChannelHandlerContext context, String body) {
        DefaultFullHttpResponse response = full(context, body);
        response.headers().set(HttpHeaderNames.CONTENT_TYPE, TEXT_TYPE);
        return response;
    }

    private static DefaultFullHttpResponse json(ChannelHandlerContext context) {
        DefaultFullHttpResponse response = full(context, Answers.JSON);
        for (int i = 0; i < JSON_HEADERS.length; i += 2) {
            response.headers().set(JSON_HEADERS[i], JSON_HEADERS[i + 1]);
        }
        return response;
    }

    private static void slow(ChannelHandlerContext context, HttpRequest request) {
        BLOCKING.execute(() -> {
            Answers.sleep();
            write(context, request, text(context, Answers.TEXT));
            context.flush();
        });
    }

    private void stream(ChannelHandlerContext context) {
        if (context.pipeline().get(ChunkedWriteHandler.class) == null) {
            context.pipeline().addBefore(context.name(), null, new ChunkedWriteHandler());
        }
        HttpResponse head = head();
        HttpUtil.setTransferEncodingChunked(head, true);
        context.write(head);
        finish(request, context.write(new HttpChunkedInput(new ChunkedStream(Answers.stream(), CHUNK_BYTES))));
    }

    private void file(ChannelHandlerContext context) {
        long length = Answers.FILE.toFile().length();
        HttpResponse head = head();
        head.headers().set(HttpHeaderNames.CONTENT_LENGTH, length);
        context.write(head);
        context.write(new DefaultFileRegion(Answers.FILE.toFile(), 0, length));
        finish(request, context.write(LastHttpContent.EMPTY_LAST_CONTENT));
    }

    private static HttpResponse head() {
        HttpResponse head = new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
        head.headers().set(HttpHeaderNames.CONTENT_TYPE, HttpHeaderValues.APPLICATION_OCTET_STREAM);
        head.headers().set(HttpHeaderNames.DATE, DateHeader.now());
        return head;
    }

    private static void write(ChannelHandlerContext context, HttpRequest request, DefaultFullHttpResponse response) {
        HttpHeaders headers = response.headers();
        headers.set(HttpHeaderNames.DATE, DateHeader.now());
        finish(request, context.write(response));
    }

    private static void finish(HttpRequest request, ChannelFuture written) {
        if (!HttpUtil.isKeepAlive(request)) {
            written.addListener(ChannelFutureListener.CLOSE);
        }
    }

    private static AsciiString[] asciiHeaders() {
        AsciiString[] headers = new AsciiString[Answers.JSON_HEADERS.length];
        for (int i = 0; i < headers.length; i++) {
            headers[i] = AsciiString.cached(Answers.JSON_HEADERS[i]);
        }
        return headers;
    }
}
