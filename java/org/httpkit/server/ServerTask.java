package org.httpkit.server;

/** A task of the server's own, no request: it runs even if the pool is shut down while it waits there. */
@FunctionalInterface
interface ServerTask extends Runnable {
}
