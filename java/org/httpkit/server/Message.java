package org.httpkit.server;

/** A message, or a task of the server's own in its place, that waits in a queue. */
final class Message {
    /** In place of an opcode: the payload is a ServerTask. */
    static final int TASK = 0;
    /** What a message costs beside its payload. */
    private static final int OVERHEAD = 64;

    final int opcode;
    /** Its place among the messages of the connection; a task gets one when it is queued. */
    int number;
    final int route;
    final Object payload;
    final int length;
    Message next;

    Message(int opcode, int number, int route, Object payload, int length) {
        this.opcode = opcode;
        this.number = number;
        this.route = route;
        this.payload = payload;
        this.length = length;
    }

    static Message task(ServerTask task) {
        return new Message(TASK, 0, 0, task, 0);
    }

    /** Returns the bytes it holds; of one that fills a queue by itself as many as that takes. */
    int cost() {
        return Math.min(length, MessageQueue.HIGH_WATER) + OVERHEAD;
    }
}
