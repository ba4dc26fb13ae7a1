package org.httpkit.server;

import clojure.lang.IFn;
import java.util.function.Supplier;
import org.httpkit.engine.Application;
import org.httpkit.engine.Native;
import org.httpkit.engine.Worker;

/**
 * The messages of one WebSocket on their way to its callbacks: one at a time, in the order of the wire.
 *
 * <p>A message runs in place if the engine says so and nothing is before it, otherwise on the pool. What waits is bounded: the engine is
 * told to hold, and so does TCP, until the callbacks have caught up. An idle channel keeps nothing but this object, which is its
 * {@link WebSocket} too.
 *
 * <p>The thread that brings a message to run in place may lose its core before it gets here. The engine takes that for a slow callback and
 * goes on with the next message, so messages are told by their numbers.
 */
abstract class MessageQueue extends ServerTask {
    /** Above so many bytes that wait or run the engine holds. A single message may be larger. */
    static final int HIGH_WATER = 1024 * 1024;
    /** Below so many it goes on. */
    private static final int LOW_WATER = 256 * 1024;
    /** How many messages one channel has delivered before the pool's other tasks get their turn. */
    private static final int TURN = 32;
    private static final int NUMBER = 0xffffff;
    private static final String MESSAGE_LOST = "Message lost";
    private static final int NOT_ENDED = -1;

    private final AsyncChannel channel;
    /** The messages that wait; null when there is none. */
    private Message first;
    private Message last;
    /** Messages that are here before an earlier one, by their numbers; nearly always null. */
    private Message early;
    /** The number of the message that comes next on the wire. */
    private int nextNumber;
    /** How many messages there are in all, once that is known. */
    private int endsAt = NOT_ENDED;
    /** What the messages cost that wait, and the one that runs on the pool. */
    private int pending;
    /** A thread delivers, or the pool was asked for one. */
    private boolean busy;
    /** The engine was told to hold. */
    private boolean held;
    /** The handler that upgraded the channel still runs and has not set a callback: its messages wait, while there is room. */
    private boolean gated = true;

    MessageQueue(AsyncChannel channel) {
        this.channel = channel;
    }

    final AsyncChannel channel() {
        return channel;
    }

    final RingApplication application() {
        return channel.application();
    }

    /** A callback threw. */
    abstract void failed(Throwable failure, Supplier<String> message);

    /** The pool takes no more messages. */
    abstract void overloaded(Throwable rejection);

    /** A message was lost. */
    abstract void giveUp(int code, String reason);

    /** Returns true if the handler sets a callback in any case: its messages wait for that however many they are. */
    abstract boolean awaitsCallback();

    /** No more messages are to come. */
    final void unregister() {
        application().unregister(this);
    }

    /** Returns the callback for messages of this kind, or null. */
    final IFn callback(int opcode) {
        return channel.callbacks().message(opcode);
    }

    /** Takes a message. Returns {@code Application.GO_ON} or {@code HOLD}. */
    final int accept(Worker worker, int kind, int route, Object payload, int length) {
        int opcode = kind & Application.MESSAGE_OPCODE;
        int number = kind >>> Application.MESSAGE_NUMBER_SHIFT;
        Dispatcher dispatcher = application().dispatcher();
        int answer = Application.GO_ON;
        boolean inPlace;
        boolean submits = false;
        boolean resumes = false;
        synchronized (this) {
            boolean idle = number == nextNumber && !busy && !gated;
            if (idle && early == null && (opcode == Application.MESSAGE_BROKEN || callback(opcode) == null)) {
                advance();
                return answer;
            }
            inPlace = idle && early == null && (kind & Application.MESSAGE_IN_PLACE) != 0 && dispatcher.tryEnter();
            if (inPlace) {
                advance();
                busy = true;
            } else {
                answer = enqueue(opcode, number, route, payload, length);
                submits = first != null && !busy && !gated;
                busy |= submits;
                resumes = endHold();
            }
        }
        if (inPlace) {
            runInPlace(dispatcher, worker, opcode, payload, length);
        } else if (submits) {
            submit();
        }
        if (resumes) {
            Native.resume(channel.connection(), channel.exchange());
        }
        return answer;
    }

    /** Takes the failure of a message in its place. As {@link #accept}, which may have taken the message before it failed. */
    final int lose(Worker worker, int kind, int route, Throwable failure, int length) {
        boolean taken;
        synchronized (this) {
            taken = ((kind >>> Application.MESSAGE_NUMBER_SHIFT) - nextNumber & NUMBER) > NUMBER / 2;
        }
        if (!taken) {
            return accept(worker, kind, route, failure, length);
        }
        giveUp(CloseStatus.INTERNAL_ERROR, MESSAGE_LOST);
        return Application.GO_ON;
    }

    private int enqueue(int opcode, int number, int route, Object payload, int length) {
        boolean broken = opcode == Application.MESSAGE_BROKEN;
        // After a violation the answers to the messages before it are to be sent before the connection is failed.
        Message message = broken
            ? Message.task(ServerTask.of(() -> Native.resume(channel.connection(), channel.exchange())))
            : new Message(opcode, number, route, payload, length);
        message.number = number;
        pending += message.cost();
        if (number == nextNumber) {
            advance();
            take(message);
            takeEarly();
        } else {
            insertEarly(message);
        }
        if (broken) {
            return Application.HOLD;
        }
        if (gated && pending > HIGH_WATER && !awaitsCallback()) {
            // Held, the engine would see neither the client's Close nor its end for as long as the handler runs.
            openGate();
        }
        // The engine counts: a message that was on its way when it was told to hold must not have it held again.
        boolean mustHold = !held && pending > HIGH_WATER;
        held |= mustHold;
        return mustHold ? Application.HOLD : Application.GO_ON;
    }

    /** Lets messages pass: the handler has returned, or has set a callback for them, or will set none. */
    final void openQueue() {
        boolean waiting;
        boolean resumes;
        synchronized (this) {
            if (!gated) {
                return;
            }
            openGate();
            waiting = first != null;
            busy = waiting;
            resumes = endHold();
        }
        if (resumes) {
            Native.resume(channel.connection(), channel.exchange());
        }
        if (waiting) {
            submit();
        }
    }

    private void openGate() {
        gated = false;
        Message waiting = first;
        first = null;
        last = null;
        while (waiting != null) {
            Message message = waiting;
            waiting = message.next;
            message.next = null;
            take(message);
        }
    }

    /** There are so many messages in all. Returns true if all of them have come; otherwise the last to come ends the socket's registration. */
    final synchronized boolean endsAfter(int messages) {
        endsAt = messages;
        return nextNumber == messages;
    }

    /** Runs the ending once every message has been delivered: all there are, or where that is not known all that have come. */
    final void afterAll(Ending ending) {
        synchronized (this) {
            boolean oneIsLate = endsAt != NOT_ENDED && nextNumber != endsAt;
            if (oneIsLate || busy || gated) {
                Message message = ending.place;
                message.number = endsAt;
                pending += message.cost();
                if (oneIsLate) {
                    insertEarly(message);
                } else {
                    append(message);
                }
                return;
            }
        }
        application().executeOwed(ending);
    }

    private void advance() {
        nextNumber = nextNumber + 1 & NUMBER;
        if (nextNumber == endsAt) {
            unregister();
        }
    }

    private void insertEarly(Message message) {
        int distance = message.number - nextNumber & NUMBER;
        Message before = null;
        Message after = early;
        while (after != null && (after.number - nextNumber & NUMBER) < distance) {
            before = after;
            after = after.next;
        }
        message.next = after;
        if (before == null) {
            early = message;
        } else {
            before.next = message;
        }
    }

    private void takeEarly() {
        while (early != null && early.number == nextNumber) {
            Message message = early;
            early = message.next;
            message.next = null;
            // What is to run after the last message has the number of one more, which never comes.
            if (message.number != endsAt) {
                advance();
            }
            take(message);
        }
    }

    /** Drops a message that nobody wants: every thread of the pool may run a handler. A callback that runs may yet say who does. */
    private void take(Message message) {
        if (busy || gated || message.opcode == Message.TASK || callback(message.opcode) != null) {
            append(message);
        } else {
            pending -= message.cost();
        }
    }

    private void runInPlace(Dispatcher dispatcher, Worker worker, int opcode, Object payload, int length) {
        Application application = application();
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
            application().dispatcher().submit(this);
        } catch (Throwable rejection) {
            // Also for want of memory.
            if (channel.isClosed() || application().executor().isShutdown()) {
                // No overload: the server stops, or the rest is the last of this socket.
                application().execute(this);
            } else {
                refuse(rejection);
            }
        }
    }

    /** Delivers what waits, on the pool. */
    @Override
    final void perform() {
        Dispatcher dispatcher = application().dispatcher();
        int delivered = 0;
        for (Message message = next(null); message != null; message = next(message)) {
            if (message.opcode == Message.TASK) {
                ((ServerTask) message.payload).perform();
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
        } catch (Throwable full) {
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
            if (!endHold()) {
                return;
            }
        }
        Native.resume(channel.connection(), channel.exchange());
    }

    /** Returns true if the engine was told to hold and is to be told to go on. */
    private boolean endHold() {
        boolean ends = held && pending < LOW_WATER;
        held &= !ends;
        return ends;
    }

    private void append(Message message) {
        if (first == null) {
            first = message;
        } else {
            last.next = message;
        }
        last = message;
    }

    private void deliver(int opcode, Object payload, int length) {
        if (payload instanceof Throwable) {
            report((Throwable) payload, opcode, length);
            end();
            return;
        }
        IFn callback = callback(opcode);
        if (callback == null) {
            return;
        }
        try {
            callback.invoke(payload);
        } catch (Throwable failure) {
            report(failure, opcode, length);
        }
    }

    /** What even the report fails with, as when there is no memory for it, ends the WebSocket. Never throws: later messages wait. */
    private void report(Throwable failure, int opcode, int length) {
        try {
            failed(failure, () -> description(opcode, length));
        } catch (Throwable unreported) {
            end();
        }
    }

    private void end() {
        try {
            giveUp(CloseStatus.INTERNAL_ERROR, MESSAGE_LOST);
        } catch (Throwable failure) {
            Native.abort(channel.connection(), channel.exchange());
        }
    }

    /** The pool takes no more: the messages are lost, so the client must know. */
    private void refuse(Throwable rejection) {
        Message lost;
        synchronized (this) {
            lost = first;
            first = null;
            last = null;
            pending = 0;
            busy = false;
        }
        for (Message message = lost; message != null; message = message.next) {
            if (message.opcode == Message.TASK) {
                application().execute((ServerTask) message.payload);
            }
        }
        try {
            overloaded(rejection);
        } catch (Throwable failure) {
            Native.abort(channel.connection(), channel.exchange());
        }
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
}
