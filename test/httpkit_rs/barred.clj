(ns httpkit-rs.barred
  "Threads that cannot be started while an atom says so: what a JVM meets on a machine that has no more to give."
  (:require [httpkit-rs.hidden :as hidden])
  (:import (java.lang.reflect Constructor)
           (java.util.concurrent ThreadFactory)))

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

(def ^:private overflow-class
  (delay (Class/forName "org.httpkit.server.Overflow")))

(defn overflow
  "Returns an `Overflow` with threads of the factory."
  [barred?]
  (.newInstance (doto ^Constructor (.getDeclaredConstructor ^Class @overflow-class (into-array Class [ThreadFactory]))
                  (.setAccessible true))
                (object-array [(factory barred?)])))

(defn- task [f]
  (let [of (doto (.getDeclaredMethod (Class/forName "org.httpkit.server.ServerTask") "of" (into-array Class [Runnable]))
             (.setAccessible true))]
    (.invoke of nil (object-array [f]))))

(defn execute [overflow f]
  (hidden/call overflow "execute" (task f)))

(defn serve
  "Has a thread do what `server-loop` does; returns a future of its end."
  [overflow]
  (future (hidden/call overflow "serve")))

(defn stop [overflow]
  (hidden/call overflow "stop"))
