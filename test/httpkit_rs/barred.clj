(ns httpkit-rs.barred
  "Threads that cannot be started while an atom says so: what a JVM meets on a machine that has no more to give."
  (:import (java.util.concurrent ThreadFactory)))

(set! *warn-on-reflection* true)

(defn factory
  "Returns a factory of daemon threads that throws what the start of a thread throws, while `barred?` holds true. What ends a
  thread is not printed."
  ^ThreadFactory [barred?]
  (reify ThreadFactory
    (newThread [_ task]
      (when @barred?
        (throw (OutOfMemoryError. "unable to create native thread")))
      (doto (Thread. task)
        (.setDaemon true)
        (.setUncaughtExceptionHandler (reify Thread$UncaughtExceptionHandler (uncaughtException [_ _ _])))))))
