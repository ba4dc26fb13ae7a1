(ns immutant.web.internal.outbox
  "Turns for the sends of one channel: whoever has the turn may send, the others' sends wait in order of their calls.

  A turn ends with the call, or is kept by a send that goes on elsewhere. No lock is held while anybody sends, so
  callbacks that run on the way may wait for other senders."
  (:import (clojure.lang PersistentQueue)
           (java.util.concurrent.atomic AtomicReference)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn outbox
  "Returns an outbox in which nobody has the turn.

  It holds nil, or what waits for the end of the turn. Both change at once: with a count beside the queue, a thread's next send
  could find the turn free while its last one still waited."
  ^AtomicReference []
  (AtomicReference.))

(defn try-turn
  "Returns true if the caller has the turn now, to be ended with `end-turn`; false if others were first."
  [^AtomicReference outbox]
  (.compareAndSet outbox nil PersistentQueue/EMPTY))

(defn end-turn
  "Ends the turn: what waits is run before this returns."
  [^AtomicReference outbox]
  (let [waiting (.get outbox)]
    (if-let [function (peek waiting)]
      (when-not (and (.compareAndSet outbox waiting (pop waiting)) (function))
        (recur outbox))
      (when-not (.compareAndSet outbox waiting nil)
        (recur outbox)))))

(defn enqueue
  "Calls the function when its turn comes, maybe now. It returns true to keep the turn, and must not throw."
  [^AtomicReference outbox function]
  (if-let [waiting (.get outbox)]
    (when-not (.compareAndSet outbox waiting (conj waiting function))
      (recur outbox function))
    (if-not (try-turn outbox)
      (recur outbox function)
      (when-not (function)
        (end-turn outbox)))))
