(ns ring.adapter.httpkit-rs.timeout
  "A limit to the time an asynchronous handler takes to respond.

  Whatever completes the request first counts, so a handler that responds too late does no harm."
  (:import (java.util.concurrent ExecutorService Executors Future RejectedExecutionException ScheduledThreadPoolExecutor
                                 TimeUnit TimeoutException)
           (org.httpkit PrefixThreadFactory)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private thread-prefix "httpkit-rs-async-timeout-")

(defn- clock
  "Returns what watches the time. A task that is cancelled must not hold its request until the time is up."
  ^ScheduledThreadPoolExecutor []
  (doto (ScheduledThreadPoolExecutor. 1 (PrefixThreadFactory. thread-prefix))
    (.setRemoveOnCancelPolicy true)))

(defn- expire
  "Completes a request whose handler has taken too long."
  [timeout-handler millis request respond raise]
  (if timeout-handler
    (try
      (timeout-handler request respond raise)
      (catch Throwable e (raise e)))
    (raise (TimeoutException. (str "The handler has not responded within :async-timeout, " millis " ms")))))

(defn limited
  "Returns {:handler, :release}: the asynchronous handler with the limit, and a function that ends its threads.

  `timeout-handler` is an asynchronous handler, or nil for an error."
  [handler millis timeout-handler]
  (let [clock (clock)
        ;; The handler may block; the clock must not.
        ^ExecutorService threads (Executors/newCachedThreadPool (PrefixThreadFactory. thread-prefix))]
    {:handler (fn [request respond raise]
                (let [expired (fn []
                                (try
                                  (.execute threads #(expire timeout-handler millis request respond raise))
                                  (catch RejectedExecutionException _ nil)))
                      ^Future task (.schedule clock ^Runnable expired (long millis) TimeUnit/MILLISECONDS)]
                  (try
                    (handler request
                             (fn [response] (.cancel task false) (respond response))
                             (fn [failure] (.cancel task false) (raise failure)))
                    (catch Throwable e
                      (.cancel task false)
                      (throw e)))))
     :release (fn []
                (.shutdownNow clock)
                (.shutdownNow threads))}))
