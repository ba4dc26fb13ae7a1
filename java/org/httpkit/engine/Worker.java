package org.httpkit.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.WeakHashMap;

/**
 * One thread of the native runtime as Java sees it: its buffer, its reader, and which application it is running.
 *
 * <p>The engine creates it on the thread itself and passes requests through {@link #request} and messages through {@link #message}, one
 * up-call each. The buffer belongs to the engine and carries the request block or message in and, for a handler run in place, the response
 * block out.
 */
public final class Worker {
    /** A thread lives as long as the engine keeps it, so its worker is held weakly here. */
    private static final Set<Worker> ALL = Collections.newSetFromMap(new WeakHashMap<>());

    private static final int INITIAL_TEXT = 1024;
    private static final Object INTERRUPTING = new Object();
    private static final Object INTERRUPTED = new Object();
    private static final VarHandle RUNNING;

    static {
        try {
            RUNNING = MethodHandles.lookup().findVarHandle(Worker.class, "running", Object.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final Thread thread = Thread.currentThread();
    private final RequestReader reader = new RequestReader();
    private ByteBuffer buffer;
    /** The bytes of a text on their way from the buffer to a String. */
    private byte[] text = new byte[INITIAL_TEXT];
    /** The application whose handler runs now, null between handlers, or where an interrupt of it stands. */
    private volatile Object running;

    Worker(ByteBuffer buffer) {
        this.buffer = buffer;
        synchronized (ALL) {
            ALL.add(this);
        }
    }

    /** Takes a bigger buffer from the engine in place of the one that was too small for a request. */
    void buffer(ByteBuffer bigger) {
        buffer = bigger;
    }

    /** Returns the number under which {@link UpCalls} find this worker from now on. */
    int number() {
        return UpCalls.add(this);
    }

    /** {@link #request} as it comes through JNI. */
    int requestByJni(Application application, long connection, int exchange, int length, int route, byte[] body) {
        UpCalls.count();
        return request(application, connection, exchange, length, route, body);
    }

    /** {@link #message} as it comes through JNI. */
    int messageByJni(Application application, long connection, int exchange, int kind, int length, int route, byte[] body) {
        UpCalls.count();
        return message(application, connection, exchange, kind, length, route, body);
    }

    /** The up-call for a request: {@code length} bytes of request block are in the buffer. See {@link Application#request}. */
    int request(Application application, long connection, int exchange, int length, int route, byte[] body) {
        enter(application);
        reader.read(buffer, length, route, body);
        return application.request(this, reader, connection, exchange);
    }

    /**
     * The up-call for a WebSocket message of {@code length} bytes, in {@code body} or else in the buffer. See {@link Application#message}.
     */
    int message(Application application, long connection, int exchange, int kind, int length, int route, byte[] body) {
        enter(application);
        Object payload;
        try {
            payload = payload(kind, length, body);
        } catch (OutOfMemoryError failure) {
            // Later messages wait for this one.
            payload = failure;
        }
        return application.message(this, connection, exchange, kind, route, payload, length);
    }

    /** The up-call for a message that the engine could not hand over; without memory if there was none for its payload. */
    int lost(Application application, long connection, int exchange, int kind, int length, int route, boolean noMemory) {
        enter(application);
        Throwable failure = noMemory
            ? new OutOfMemoryError("No array for a message of " + length + " bytes")
            : new IllegalStateException("A message of " + length + " bytes was not taken");
        return application.lost(this, connection, exchange, kind, route, failure, length);
    }

    private Object payload(int kind, int length, byte[] body) {
        boolean isText = (kind & Application.MESSAGE_OPCODE) == Application.MESSAGE_TEXT;
        if (body != null) {
            return isText ? new String(body, 0, length, UTF_8) : body;
        }
        // Strings are made from the heap only. Binary payloads are the application's to keep.
        byte[] bytes = isText ? textBytes(length) : new byte[length];
        buffer.clear();
        buffer.get(bytes, 0, length);
        return isText ? new String(bytes, 0, length, UTF_8) : bytes;
    }

    private byte[] textBytes(int length) {
        if (length > text.length) {
            text = new byte[Math.max(length, 2 * text.length)];
        }
        return text;
    }

    private void enter(Application application) {
        // Threads the pool starts inherit this loader too, so it is set for what only passes through as well.
        if (thread.getContextClassLoader() != application.classLoader()) {
            thread.setContextClassLoader(application.classLoader());
        }
    }

    /** Leaves a response block in the buffer. Returns its length, or 0 if it is longer than the buffer. */
    public int put(byte[] block, int length) {
        if (length > buffer.capacity()) {
            return 0;
        }
        buffer.clear();
        buffer.put(block, 0, length);
        return length;
    }

    /** Marks a handler of {@code application} as running here, so that {@link #interruptAll} finds it. Returns the mark to restore. */
    public Object begin(Application application) {
        Object outer = running;
        if (outer == null) {
            // Of a handler that is over: whoever interrupts by a thread it remembers may come late. Before the mark, so never a stop's.
            Thread.interrupted();
        }
        RUNNING.setRelease(this, application);
        return outer;
    }

    /** Ends what {@link #begin} began and clears the interrupt flag: it must not reach the next request. */
    public void end(Application application, Object outer) {
        if (!RUNNING.compareAndSet(this, application, outer)) {
            while (running != INTERRUPTED) {
                Thread.onSpinWait();
            }
            running = outer;
        }
        Thread.interrupted();
    }

    /** Interrupts each handler of {@code application} that runs in place on another thread, and no later one. */
    public static void interruptAll(Application application) {
        List<Worker> workers;
        synchronized (ALL) {
            workers = new ArrayList<>(ALL);
        }
        for (Worker worker : workers) {
            if (worker.thread != Thread.currentThread()
                && RUNNING.compareAndSet(worker, application, INTERRUPTING)) {
                worker.thread.interrupt();
                worker.running = INTERRUPTED;
            }
        }
    }
}
