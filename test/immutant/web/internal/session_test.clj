(ns immutant.web.internal.session-test
  "How long sessions live."
  (:require [clojure.test :refer [deftest is testing]]
            [immutant.web.internal.session :as session])
  (:import (immutant.web.internal.session Store)
           (java.util.concurrent ConcurrentHashMap)
           (java.util.concurrent.atomic AtomicLong)))

(defn- age
  "Makes the session, and the last look for forgotten ones, so many seconds older."
  [^Store store id seconds]
  (let [nanos (* 1000000000 (long seconds))]
    (.set ^AtomicLong (.-last-sweep store) (- (System/nanoTime) nanos))
    (.computeIfPresent ^ConcurrentHashMap (.-sessions store) id
                       (reify java.util.function.BiFunction
                         (apply [_ _ session] (update session 1 #(- (long %) nanos)))))))

(deftest timeouts
  (testing "from the last request"
    (let [store (session/store)
          id (session/write store nil {:a 1} 10)]
      (age store id 9)
      (is (= {:a 1} (session/fetch store id 10)))
      (age store id 9)
      (is (= {:a 1} (session/fetch store id 10)))
      (age store id 11)
      (is (nil? (session/fetch store id 10)))
      (is (not= id (session/write store id {:b 1} 10)))))
  (testing "what the last request said counts, not what the next one says"
    (let [store (session/store)
          id (session/write store nil {:a 1} 10)]
      (is (= {:a 1} (session/fetch store id 100)))
      (age store id 50)
      (is (= {:a 1} (session/fetch store id 10)))
      (age store id 50)
      (is (nil? (session/fetch store id 100)))
      (is (not= id (session/write store id {} 10)))))
  (testing "0 and less is never"
    (doseq [timeout [0 -1 Long/MIN_VALUE]]
      (let [store (session/store)
            id (session/write store nil {:a 1} timeout)]
        (age store id 1000000)
        (session/write store nil {} 10)
        (is (= {:a 1} (session/fetch store id timeout))))))
  (testing "the forgotten leave the memory when others are written"
    (let [store (session/store)
          old (session/write store nil {:a 1} 10)]
      (age store old 100)
      (session/write store nil {} 0)
      (is (= 1 (.size ^ConcurrentHashMap (.-sessions ^Store store)))))))

(deftest ids
  (is (= 1000 (count (set (repeatedly 1000 #(session/write (session/store) nil {} 1))))))
  (is (every? #(re-matches #"[A-Za-z0-9_-]{24}" %) (repeatedly 10 #(session/write (session/store) nil {} 1)))))
