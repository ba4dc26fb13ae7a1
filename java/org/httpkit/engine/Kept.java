package org.httpkit.engine;

import java.util.concurrent.atomic.AtomicReferenceArray;

/** A few objects kept for whoever needs one next, on whatever thread. One that is taken is the taker's alone until it is given back. */
final class Kept<T> {
    private final AtomicReferenceArray<T> places;

    Kept(int most) {
        places = new AtomicReferenceArray<>(most);
    }

    /** Returns an object that was given, or null. */
    T take() {
        for (int i = 0; i < places.length(); i++) {
            T object = places.getPlain(i) == null ? null : places.getAndSet(i, null);
            if (object != null) {
                return object;
            }
        }
        return null;
    }

    /** Keeps the object, or forgets it if there are enough. */
    void give(T object) {
        for (int i = 0; i < places.length(); i++) {
            if (places.getPlain(i) == null && places.compareAndSet(i, null, object)) {
                return;
            }
        }
    }
}
