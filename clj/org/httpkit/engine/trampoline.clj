(ns org.httpkit.engine.trampoline
  "Callbacks that are called one after the other instead of one within the other.

  For those that may start what calls the next one before it returns, as a send from the callback of a send does: within each other,
  a few thousand of them fill the stack."
  (:import (java.util ArrayDeque)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private ^ThreadLocal queue
  "What waits on this thread; nil while nothing runs."
  (ThreadLocal.))

(def ^:private ^ThreadLocal depth
  "How many calls of `nest` are within each other on this thread, nil for none."
  (ThreadLocal.))

(def ^:private deepest
  "Of `nest`: some twenty frames each, of the thousands that the smallest stack has."
  32)

(defn- also
  "Returns the first exception, with the second, which came after it, suppressed in it."
  [^Throwable before ^Throwable exception]
  (cond
    (nil? before) exception
    ;; Java refuses that.
    (identical? before exception) before
    :else (doto before (.addSuppressed exception))))

(defn- run-all
  "Calls the function, then what was queued. Returns what they threw as one exception, or nil."
  [function ^ArrayDeque waiting]
  (loop [function function
         thrown nil]
    (let [thrown (try
                   (function)
                   thrown
                   (catch Throwable e
                     (also thrown e)))]
      (if-some [following (.poll waiting)]
        (recur following thrown)
        thrown))))

(defn run
  "Calls the function: at once, or, within one that this thread was given here, after that has returned, and so after this call.

  The outermost call returns when all have been called. One that throws keeps none of the others from being called; the outermost
  call then throws the first exception, with the others suppressed in it."
  [function]
  (if-some [^ArrayDeque waiting (.get queue)]
    (.add waiting function)
    (let [waiting (ArrayDeque.)]
      (.set queue waiting)
      (when-some [thrown (try
                           (run-all function waiting)
                           (finally
                             (.remove queue)))]
        (throw thrown))))
  nil)

(defn nest
  "Calls the function at once, also within others, up to 32 deep; beyond that as `run` does. For callbacks that may wait for one another,
  which those that wait for their turn cannot."
  [function]
  (let [level (long (or (.get depth) 0))]
    (if (< level (long deepest))
      (try
        (.set depth (inc level))
        (function)
        nil
        (finally
          (if (zero? level)
            (.remove depth)
            (.set depth level))))
      (run function))))
