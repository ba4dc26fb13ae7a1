(ns httpkit-rs.starved
  "Parts that fail for want of memory, so many times as the number in an atom says: what a full heap does at any place and any time."
  (:import (java.util.concurrent ConcurrentHashMap ConcurrentMap LinkedBlockingQueue Semaphore
                                 ThreadPoolExecutor TimeUnit)))

(set! *warn-on-reflection* true)

(defn starve
  "Throws, if the number in the atom is not 0, and counts it down."
  [times]
  (when (pos? (long (first (swap-vals! times #(max 0 (dec (long %)))))))
    (throw (OutOfMemoryError. "Java heap space"))))

(defn table
  "Returns a map that starves."
  ^ConcurrentMap [times]
  (let [kept (ConcurrentHashMap.)]
    (reify ConcurrentMap
      (get [_ key] (starve times) (.get kept key))
      (put [_ key value] (starve times) (.put kept key value))
      (putIfAbsent [_ key value] (starve times) (.putIfAbsent kept key value))
      (^Object remove [_ ^Object key] (starve times) (.remove kept key))
      (^boolean remove [_ ^Object key ^Object value] (starve times) (.remove kept key value))
      (isEmpty [_] (.isEmpty kept)))))

(defn permits
  "Returns a semaphore that starves who would wait."
  ^Semaphore [number times]
  (proxy [Semaphore] [(int number)]
    (acquireUninterruptibly []
      (starve times)
      (let [^Semaphore this this]
        (while (not (.tryAcquire this 1 TimeUnit/SECONDS)))))))

(defn guarded-pool
  "Returns a pool of two threads. `(guard task)` is called before it takes a task, and may throw; `(left)` returns tasks that a
  stop is to find beside those that wait."
  ^ThreadPoolExecutor [guard left ^LinkedBlockingQueue queue]
  (let [threads (ThreadPoolExecutor. 2 2 1 TimeUnit/SECONDS (LinkedBlockingQueue.))]
    (proxy [ThreadPoolExecutor] [2 2 1 TimeUnit/SECONDS queue]
      (execute [task] (guard task) (.execute threads task))
      (shutdown [] (.shutdown threads))
      (shutdownNow [] (concat (.shutdownNow threads) (left)))
      (isShutdown [] (.isShutdown threads))
      (awaitTermination [time unit] (.awaitTermination threads time unit)))))

(defn pool
  "Returns a pool that starves who gives it a task."
  ^ThreadPoolExecutor [times]
  (guarded-pool (fn [_] (starve times))
                (constantly nil)
                (proxy [LinkedBlockingQueue] []
                  (add [_] (starve times) true))))
