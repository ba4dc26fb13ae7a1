(ns org.httpkit.engine.growing-pool-test
  "The pool of platform threads: no task waits behind one that blocks while a thread may still be started."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.barred :as barred]
            [httpkit-rs.raw :as raw])
  (:import (java.util.concurrent BlockingQueue CountDownLatch RejectedExecutionException TimeUnit)
           (org.httpkit PrefixThreadFactory)
           (org.httpkit.engine GrowingPool)))

(defmacro ^:private with-pool
  "Binds `pool` to a pool of `minimum` to `maximum` threads for the body."
  [[pool minimum maximum queue-size] & body]
  `(let [~(vary-meta pool assoc :tag `GrowingPool)
         (GrowingPool. ~minimum ~maximum ~queue-size (PrefixThreadFactory. "growing-"))]
     (try
       ~@body
       (finally
         (.shutdownNow ~pool)
         (is (.awaitTermination ~pool raw/patience-millis TimeUnit/MILLISECONDS))))))

(defn- always? [rounds condition]
  (every? true? (repeatedly rounds condition)))

(defn- run-together?
  "Executes `count` tasks, each of which blocks until all run; false if one never does."
  [^GrowingPool pool count]
  (let [entered (CountDownLatch. count)
        gate (CountDownLatch. 1)
        done (CountDownLatch. count)]
    (dotimes [_ count]
      (.execute pool (fn []
                       (.countDown entered)
                       (raw/await-latch gate)
                       (.countDown done))))
    (try
      (raw/await-latch entered)
      (finally
        (.countDown gate)
        (raw/await-latch done)))))

(deftest tasks-that-block-all-run-on-threads-just-started
  (is (always? 200 #(with-pool [pool 2 16 100]
                       (run-together? pool 16)))))

(deftest tasks-that-block-all-run-on-threads-just-done
  (with-pool [pool 2 16 100]
    (is (always? 2000 #(run-together? pool 16)))))

(deftest a-thread-whose-time-is-up-leaves-no-task-behind
  (with-pool [pool 1 2 100]
    (.setKeepAliveTime pool 50 TimeUnit/MICROSECONDS)
    (is (always? 10000 #(run-together? pool 2)))))

(deftest what-finds-no-thread-waits-in-order-then-is-refused
  (with-pool [pool 1 1 2]
    (let [gate (CountDownLatch. 1)
          ran (atom [])
          done (CountDownLatch. 2)]
      (.execute pool (fn [] (raw/await-latch gate)))
      (dotimes [n 2]
        (.execute pool (fn [] (swap! ran conj n) (.countDown done))))
      (is (thrown? RejectedExecutionException (.execute pool (fn []))))
      (.countDown gate)
      (is (raw/await-latch done))
      (is (= [0 1] @ran)))))

(deftest what-finds-no-thread-to-start-waits-for-those-that-run
  (let [barred? (atom false)
        pool (GrowingPool. 1 16 100 (barred/factory barred?))
        gate (CountDownLatch. 1)
        done (CountDownLatch. 20)]
    (.execute pool (fn [] (raw/await-latch gate)))
    (reset! barred? true)
    (dotimes [_ 20]
      (.execute pool (fn [] (.countDown done))))
    (.countDown gate)
    (is (raw/await-latch done))
    (.shutdownNow pool)))

(defn- fails?
  "Calls the queue's method with a null, which fails where an OutOfMemoryError might. Returns true if it got that far."
  [call]
  (try (call) false (catch NullPointerException _ true)))

(deftest a-queue-that-fails-counts-no-thread-for-it
  (testing "that waited"
    (with-pool [pool 1 2 100]
      (let [queue ^BlockingQueue (.getQueue pool)]
        (is (fails? #(.poll queue 1 nil)))
        (is (run-together? pool 2)))))
  (testing "that was to have the task"
    (with-pool [pool 1 2 100]
      (let [queue ^BlockingQueue (.getQueue pool)]
        (.execute pool (fn []))
        ;; The queue refuses what no thread waits for before it looks at it.
        (dotimes [_ 2]
          (is (raw/await-true #(fails? (fn [] (.offer queue nil))))))))))

(deftest tasks-that-throw-on-the-last-thread-keep-none-from-running
  (let [barred? (atom false)
        pool (GrowingPool. 1 1 100 (barred/factory barred?))
        gate (CountDownLatch. 1)
        done (CountDownLatch. 20)]
    (.execute pool (fn [] (raw/await-latch gate) (throw (InterruptedException. "expected"))))
    (reset! barred? true)
    (dotimes [_ 20]
      (.execute pool (fn [] (.countDown done) (throw (OutOfMemoryError. "expected")))))
    (.countDown gate)
    (is (raw/await-latch done))
    (.shutdownNow pool)))

(deftest the-last-thread-leaves-no-task-behind
  (let [barred? (atom false)
        pool (GrowingPool. 1 1 100 (barred/factory barred?))
        gate (CountDownLatch. 1)
        done (CountDownLatch. 20)]
    ;; A thread whose task throws ends, and no other can take its place.
    (.execute pool (fn [] (raw/await-latch gate) (throw (InterruptedException. "expected"))))
    (reset! barred? true)
    (dotimes [_ 20]
      (.execute pool (fn [] (.countDown done))))
    (.countDown gate)
    (is (raw/await-latch done))
    (is (thrown? OutOfMemoryError (.execute pool (fn []))) "nothing would run it")
    (.shutdownNow pool)))
