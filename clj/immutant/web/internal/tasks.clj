(ns immutant.web.internal.tasks
  "Threads for what must not run on the caller's: sends that take long, and what happens later.

  One pool for all servers, made when first used: a virtual thread for each task, or below JDK 21 daemon threads that are kept for a
  minute."
  (:import (java.util.concurrent CompletableFuture ExecutorService Executors TimeUnit)
           (java.util.function Consumer)
           (org.httpkit PrefixThreadFactory)
           (org.httpkit.engine VirtualThreads)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private executor
  (delay (if (VirtualThreads/areAvailable)
           (VirtualThreads/newExecutor)
           (Executors/newCachedThreadPool (PrefixThreadFactory. "immutant-web-")))))

(defn start
  "Calls the function on a thread of its own."
  [^Runnable function]
  (.execute ^ExecutorService @executor function))

(defn later
  "Calls the function on a thread of its own in `millis` milliseconds, never earlier. Returns a timer for `cancel`."
  ^CompletableFuture [millis function]
  (let [due (CompletableFuture.)]
    (.thenAccept due (reify Consumer
                       (accept [_ due?]
                         (when due?
                           (start function)))))
    (.completeOnTimeout due true (long millis) TimeUnit/MILLISECONDS)))

(defn cancel
  "Keeps a timer's function from being called, if that has not begun. The timer may be nil."
  [^CompletableFuture timer]
  (when timer
    (.complete timer false)))
