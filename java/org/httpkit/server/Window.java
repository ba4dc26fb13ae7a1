package org.httpkit.server;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Where senders wait until a client has taken enough of what was sent. Made when the first of them has to.
 *
 * <p>The engine's word that there is room may come before the call that met the full window returns, so a sender takes {@link #count}
 * before it sends: if that has changed since, there is nothing to wait for.
 */
final class Window {
    /** How often the engine has said that there is room. */
    private int count;
    /** Made when the window is full, completed with true when there is room, or as the channel has ended. */
    private CompletableFuture<Boolean> room;
    /** How the channel has ended, null until it has: true if what was sent before goes to the client all the same. */
    private Boolean end;

    /** Returns the count of a window, made yet or not. */
    static int count(Window window) {
        return window == null ? 0 : window.count();
    }

    private synchronized int count() {
        return count;
    }

    /**
     * Returns what is completed with true when there is room for a sender that met the full window, or what it sent is before the end that
     * this side has put to the channel, and with false if the client does not get it.
     */
    synchronized CompletableFuture<Boolean> whenRoom(int countBefore) {
        if (end != null) {
            return CompletableFuture.completedFuture(end);
        }
        if (count != countBefore) {
            return CompletableFuture.completedFuture(true);
        }
        if (room == null) {
            room = new CompletableFuture<>();
        }
        return room;
    }

    /**
     * Waits for the room of {@link #whenRoom}. Returns false if the client does not get what was sent. Throws after {@code timeoutMillis}, 0
     * for never.
     */
    boolean await(int countBefore, long timeoutMillis) throws IOException {
        try {
            CompletableFuture<Boolean> waiting = whenRoom(countBefore);
            return timeoutMillis == 0 ? waiting.get() : waiting.get(timeoutMillis, TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new IOException("The client has not taken enough within " + timeoutMillis + " ms", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Interrupted while the client takes no more");
        } catch (ExecutionException e) {
            throw new AssertionError(e);
        }
    }

    /** Returns true if a sender has met the full window and there has been no room since. */
    synchronized boolean isFull() {
        return room != null;
    }

    /** There is room again. */
    void open() {
        complete(true, false);
    }

    /** The channel has ended; {@code delivers} what was sent before. */
    void close(boolean delivers) {
        complete(delivers, true);
    }

    private void complete(boolean outcome, boolean ends) {
        CompletableFuture<Boolean> waiting;
        synchronized (this) {
            count++;
            if (ends && end == null) {
                end = outcome;
            }
            waiting = room;
            room = null;
        }
        if (waiting != null) {
            waiting.complete(outcome);
        }
    }
}
