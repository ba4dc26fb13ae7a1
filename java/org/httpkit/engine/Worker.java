package org.httpkit.engine;

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
 * <p>The engine creates it on the thread itself and passes requests through {@link #request}, one up-call each. The buffer belongs
 * to the engine and carries the request block in and, for a handler run in place, the response block out.
 */
public final class Worker {
    /** A thread lives as long as the engine keeps it, so its worker is held weakly here. */
    private static final Set<Worker> ALL = Collections.newSetFromMap(new WeakHashMap<>());

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

    /** The up-call for a request: {@code length} bytes of request block are in the buffer. See {@link Application#request}. */
    int request(Application application, long connection, int exchange, int length, int route, byte[] body) {
        // Threads the pool starts inherit this loader too, so it is set for requests that only pass through.
        if (thread.getContextClassLoader() != application.classLoader()) {
            thread.setContextClassLoader(application.classLoader());
        }
        reader.read(buffer, length, route, body);
        return application.request(this, reader, connection, exchange);
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
