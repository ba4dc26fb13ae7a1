(ns immutant.web.internal.outbox
  "Turns for the sends of one channel: whoever has the turn may send, the others' sends wait in order of their calls.

  A turn ends with the call, or is kept by a send that goes on elsewhere. No lock is held while anybody sends, so
  callbacks that run on the way may wait for other senders."
  (:import (java.util.concurrent ConcurrentLinkedQueue)
           (java.util.concurrent.atomic AtomicInteger)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(deftype Outbox [^AtomicInteger turns ^ConcurrentLinkedQueue waiting])

(defn outbox
  "Returns an outbox in which nobody has the turn."
  ^Outbox []
  (Outbox. (AtomicInteger.) (ConcurrentLinkedQueue.)))

(defn- run-waiting [^Outbox outbox]
  (let [^AtomicInteger turns (.-turns outbox)
        ^ConcurrentLinkedQueue waiting (.-waiting outbox)]
    (loop []
      (let [keeps-turn? ((.poll waiting))]
        (when (and (not keeps-turn?) (pos? (.decrementAndGet turns)))
          (recur))))))

(defn try-turn
  "Returns true if the caller has the turn now, to be ended with `end-turn`; false if others were first."
  [^Outbox outbox]
  (.compareAndSet ^AtomicInteger (.-turns outbox) 0 1))

(defn end-turn
  "Ends the turn: what waits is run before this returns."
  [^Outbox outbox]
  (when (pos? (.decrementAndGet ^AtomicInteger (.-turns outbox)))
    (run-waiting outbox)))

(defn enqueue
  "Calls the function when its turn comes, maybe now. It returns true to keep the turn, and must not throw."
  [^Outbox outbox function]
  (.offer ^ConcurrentLinkedQueue (.-waiting outbox) function)
  (when (zero? (.getAndIncrement ^AtomicInteger (.-turns outbox)))
    (run-waiting outbox)))
