(ns immutant.web.internal.tasks-test
  "What runs on threads of its own, now and later."
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [immutant.web.internal.tasks :as tasks])
  (:import (java.util.concurrent CompletableFuture)))

(deftest now
  (let [thread (promise)]
    (tasks/start #(deliver thread (Thread/currentThread)))
    (is (not= (Thread/currentThread) (raw/await-value thread)))
    (is (.isDaemon ^Thread @thread))))

(deftest later
  (let [begun (System/nanoTime)
        called (promise)]
    (tasks/later 20 #(deliver called (System/nanoTime)))
    (is (<= 20000000 (- (long (raw/await-value called)) begun)))))

(deftest cancelled
  (let [called (atom false)
        ^CompletableFuture timer (tasks/later 3600000 #(reset! called true))]
    (is (not (.isDone timer)))
    (tasks/cancel timer)
    (tasks/cancel nil)
    (is (.isDone timer))
    (is (false? @called))))
