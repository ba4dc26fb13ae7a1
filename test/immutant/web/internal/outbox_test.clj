(ns immutant.web.internal.outbox-test
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [immutant.web.internal.outbox :as outbox])
  (:import (java.util.concurrent ConcurrentLinkedQueue CyclicBarrier)))

(defn- send-in-turn
  "Adds the item to what was sent, at once or in its turn."
  [box ^ConcurrentLinkedQueue sent item]
  (let [add (fn []
              (.add sent item)
              ;; The others are to find the turn taken. Not each time: on a busy machine that takes milliseconds.
              (when (zero? (long (rand-int 20)))
                (Thread/yield))
              false)]
    (if (outbox/try-turn box)
      (do (add)
          (outbox/end-turn box))
      (outbox/enqueue box add))))

(deftest each-threads-sends-keep-their-order
  (let [threads 4
        sends 5000
        box (outbox/outbox)
        sent (ConcurrentLinkedQueue.)
        start (CyclicBarrier. threads)
        senders (doall (for [thread (range threads)]
                         (future
                           (.await start)
                           (dotimes [n sends]
                             (send-in-turn box sent [thread n])))))]
    (is (= (repeat threads nil) (map raw/await-value senders)))
    (is (= (zipmap (range threads) (repeat (range sends)))
           (reduce (fn [sent [thread n]] (update sent thread (fnil conj []) n)) {} sent)))))

(deftest a-kept-turn-ends-later
  (let [box (outbox/outbox)
        sent (ConcurrentLinkedQueue.)]
    (outbox/enqueue box (fn [] (.add sent :kept) true))
    (send-in-turn box sent :second)
    (is (= [:kept] (seq sent)))
    (outbox/end-turn box)
    (is (= [:kept :second] (seq sent)))
    (is (outbox/try-turn box))))
