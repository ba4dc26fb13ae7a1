package org.httpkit.engine;

import java.lang.ref.WeakReference;
import java.util.Arrays;

/**
 * Objects by small numbers, for calls that cannot carry a reference. Held weakly: who knows a number keeps its object alive, and the
 * number of one that has gone is given out again.
 */
final class WeakTable<T> {
    /** Replaced, never changed, so that it is read without a lock. */
    private volatile Slot<?>[] slots = {};

    /** Puts an object in and returns its number. */
    synchronized int add(T object) {
        Slot<?>[] before = slots;
        int number = 0;
        while (number < before.length && before[number].get() != null) {
            number++;
        }
        Slot<?>[] after = Arrays.copyOf(before, Math.max(before.length, number + 1));
        after[number] = new Slot<>(object);
        slots = after;
        return number;
    }

    /** Returns the object of a number that {@link #add} returned, if that is still alive. */
    @SuppressWarnings("unchecked") // Only add puts anything in.
    T get(int number) {
        return ((Slot<T>) slots[number]).get();
    }

    private static final class Slot<T> extends WeakReference<T> {
        Slot(T object) {
            super(object);
        }
    }
}
