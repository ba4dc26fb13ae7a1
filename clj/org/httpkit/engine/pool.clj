(ns org.httpkit.engine.pool
  "Chooses the pool of a server and how many handlers may run at once."
  (:require [org.httpkit.engine.check :as check]
            [org.httpkit.engine.options :as options])
  (:import (java.util.concurrent ThreadPoolExecutor)
           (org.httpkit.engine GrowingPool)
           (org.httpkit.server Dispatcher)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private thread-options [:thread :n-threads :n-min-threads :n-max-threads])

(defn- grown
  "Returns a worker like `worker`, a fixed one by default sizes, whose pool grows with handlers that block.

  http-kit's grows only when its queue is full, so that two handlers that sleep on two cores stall every request."
  [{:keys [n-min-threads n-max-threads queue-size ^ThreadPoolExecutor pool] :as worker}]
  (.shutdown pool)
  (assoc worker :pool (GrowingPool. (int n-min-threads) (int n-max-threads) (int queue-size) (.getThreadFactory pool))))

(defn- worker
  "Returns `new-worker`'s for these options, with the pool that suits them."
  [new-worker worker-options]
  (let [{:keys [type] :as made} (new-worker worker-options)]
    (if (or (= type :virtual) (some #(contains? worker-options %) (conj thread-options :queue-type)))
      made
      (grown made))))

(defn dispatcher
  "Returns the dispatcher for run-server's options.

  A number of threads the user asked for bounds handlers in place and on the pool together, where it bounds http-kit's:
  on a pool of platform threads."
  ^Dispatcher [new-worker opts]
  (let [mode (int (options/dispatch opts))
        budget (int (options/in-place-budget opts))]
    (if-let [pool (options/worker-pool opts)]
      (Dispatcher. pool mode budget (int 0) (int 0))
      (let [worker-options (get opts :pool-opts opts)
            _ (when-not (or (nil? worker-options) (map? worker-options))
                (check/wrong-class :pool-opts "a map" worker-options))
            {:keys [pool type n-max-threads queue-size]} (worker new-worker worker-options)
            bounded? (and (= type :fixed) (some #(get worker-options %) thread-options))]
        (Dispatcher. pool mode budget (int (if bounded? n-max-threads 0)) (int (or queue-size Integer/MAX_VALUE)))))))
