package org.httpkit.server;

import clojure.lang.IFn;
import java.util.concurrent.RejectedExecutionException;
import org.httpkit.engine.Application;
import org.httpkit.engine.Native;
import org.httpkit.engine.Worker;

/**
 * The messages of one WebSocket on their way to its callbacks: one at a time, in order of arrival.
 *
 * <p>A message runs in place if the engine says so and nothing is before it, otherwise on the pool. What waits is bounded: the engine is
 * told to hold, and so does TCP, until the callbacks have caught up. An idle channel keeps nothing but this object.
 */
final class MessageQueue implements ServerTask {
    /** Above so many bytes that wait or run the engine holds. A single message may be larger. */
    private static final int HIGH_WATER = 1024 * 1024;
    /** Below so many it goes on. */
    private static final int LOW_WATER = 256 * 1024;
    /** What a message costs beside its payload. */
    private static final int OVERHEAD = 64;
    /** How many messages one channel has delivered before the pool's other tasks get their turn. */
    private static final int TURN = 32;
    /** In place of an opcode: the payload is the server's own task. */
    private static final int TASK = 0;

    private final WebSocket socket;
    /** The messages that wait; null when there is none. */
    private Message first;
    private Message last;
    /** Bytes of the messages that wait, and of the one that runs on the pool. */
    private long pending;
    /** A thread delivers, or the pool was asked for one. */
    private boolean busy;
    /** The engine was told to hold. */
    private boolean held;
    /** The handler that upgraded the channel still runs and has not set a callback: its messages wait. */
    private boolean gated = true;

    MessageQueue(WebSocket socket) {
        this.socket = socket;
    }

    /** Takes the next message. Returns {@code Application.GO_ON} or {@code HOLD}. */
    int accept(Worker worker, int kind, int route, Object payload, int length) {
        int opcode = kind & ~Application.MESSAGE_IN_PLACE;
        if (opcode == Application.MESSAGE_BROKEN) {
            return holdForAnswers();
        }
        Dispatcher dispatcher = socket.application().dispatcher();
        int answer = Application.GO_ON;
        boolean inPlace;
        synchronized (this) {
            if (!gated && socket.callback(opcode) == null) {
                return answer;
            }
            inPlace = kind != opcode && !busy && !gated && dispatcher.tryEnter();
            if (!inPlace) {
                append(new Message(opcode, route, payload, length));
                if (pending > HIGH_WATER) {
                    held = true;
                    answer = Application.HOLD;
                }
                if (busy || gated) {
                    return answer;
                }
            }
            busy = true;
        }
        if (inPlace) {
            runInPlace(dispatcher, worker, opcode, payload, length);
        } else {
            submit();
        }
        return answer;
    }

    /** The client broke the protocol after these messages: their answers are to be sent before its connection is failed. */
    private synchronized int holdForAnswers() {
        if (!busy && !gated) {
            return Application.GO_ON;
        }
        ServerTask resume = () -> Native.resume(socket.connection(), socket.exchange());
        append(new Message(TASK, 0, resume, 0));
        return Application.HOLD;
    }

    /** Lets messages pass: the handler has returned, or has set a callback for them. */
    void open() {
        synchronized (this) {
            if (!gated) {
                return;
            }
            gated = false;
            if (first == null) {
                return;
            }
            busy = true;
        }
        submit();
    }

    /** Runs the task once every message that came before has been delivered. */
    void afterAll(ServerTask task) {
        synchronized (this) {
            if (busy || gated) {
                append(new Message(TASK, 0, task, 0));
                return;
            }
        }
        socket.application().execute(task);
    }

    private void runInPlace(Dispatcher dispatcher, Worker worker, int opcode, Object payload, int length) {
        Application application = socket.application();
        Object outer = worker.begin(application);
        try {
            deliver(opcode, payload, length);
        } finally {
            worker.end(application, outer);
            dispatcher.leave();
        }
        synchronized (this) {
            if (first == null) {
                busy = false;
                return;
            }
        }
        // They came on another thread because this callback took long.
        submit();
    }

    private void submit() {
        try {
            socket.application().dispatcher().submit(this);
        } catch (RejectedExecutionException rejection) {
            if (socket.isClosed() || socket.application().executor().isShutdown()) {
                // No overload: the server stops, or the rest is the last of this socket.
                socket.application().execute(this);
            } else {
                refuse(rejection);
            }
        }
    }

    /** Delivers what waits, on the pool. */
    @Override
    public void run() {
        Dispatcher dispatcher = socket.application().dispatcher();
        int delivered = 0;
        for (Message message = next(null); message != null; message = next(message)) {
            if (message.opcode == TASK) {
                ((ServerTask) message.payload).run();
            } else {
                long begun = dispatcher.begin();
                deliver(message.opcode, message.payload, message.length);
                dispatcher.observe(message.route, begun);
            }
            if (++delivered == TURN) {
                delivered = 0;
                if (yieldAfter(message, dispatcher)) {
                    return;
                }
            }
        }
    }

    /** Gives the thread to the pool's other tasks. Returns false if the pool would not come back to this one. */
    private boolean yieldAfter(Message delivered, Dispatcher dispatcher) {
        try {
            dispatcher.submit(this);
        } catch (RejectedExecutionException full) {
            return false;
        }
        forget(delivered);
        return true;
    }

    private Message next(Message delivered) {
        if (delivered != null) {
            forget(delivered);
        }
        synchronized (this) {
            Message message = first;
            if (message == null) {
                busy = false;
            } else {
                first = message.next;
                last = first == null ? null : last;
            }
            return message;
        }
    }

    private void forget(Message delivered) {
        synchronized (this) {
            pending -= delivered.cost();
            if (!held || pending >= LOW_WATER) {
                return;
            }
            held = false;
        }
        Native.resume(socket.connection(), socket.exchange());
    }

    private void append(Message message) {
        if (first == null) {
            first = message;
        } else {
            last.next = message;
        }
        last = message;
        pending += message.cost();
    }

    private void deliver(int opcode, Object payload, int length) {
        IFn callback = socket.callback(opcode);
        if (callback == null) {
            return;
        }
        try {
            callback.invoke(payload);
        } catch (Throwable failure) {
            socket.failed(failure, () -> description(opcode, length));
        }
    }

    /** The pool takes no more: the messages are lost, so the client must know. */
    private void refuse(RejectedExecutionException rejection) {
        Message lost;
        synchronized (this) {
            lost = first;
            first = null;
            last = null;
            pending = 0;
            busy = false;
        }
        for (Message message = lost; message != null; message = message.next) {
            if (message.opcode == TASK) {
                socket.application().execute((ServerTask) message.payload);
            }
        }
        socket.overloaded(rejection);
    }

    private static String description(int opcode, int length) {
        switch (opcode) {
            case Application.MESSAGE_TEXT:
                return "text of " + length + " bytes";
            case Application.MESSAGE_BINARY:
                return "binary of " + length + " bytes";
            case Application.MESSAGE_PING:
                return "ping";
            default:
                return "pong";
        }
    }

    private static final class Message {
        private final int opcode;
        private final int route;
        private final Object payload;
        private final int length;
        private Message next;

        Message(int opcode, int route, Object payload, int length) {
            this.opcode = opcode;
            this.route = route;
            this.payload = payload;
            this.length = length;
        }

        private long cost() {
            return (long) length + OVERHEAD;
        }
    }
}
