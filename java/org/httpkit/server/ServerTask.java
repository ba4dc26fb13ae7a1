package org.httpkit.server;

/** A task of the server's own, no request: it runs even if the pool is shut down while it waits there. */
abstract class ServerTask extends PoolTask {
    /** The one behind it, where {@link Overflow} keeps those that it has no memory for. */
    ServerTask next;

    static ServerTask of(Runnable task) {
        return new ServerTask() {
            @Override
            void perform() {
                task.run();
            }
        };
    }
}
