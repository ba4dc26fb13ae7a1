(ns org.httpkit.server-pool-failure-test
  "Pools that throw and have taken the task all the same, as a ThreadPoolExecutor does that has queued it and finds no thread: what runs
  later must not be run again."
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.starved :as starved]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.io InputStream)
           (java.util.concurrent LinkedBlockingQueue ThreadPoolExecutor)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- failing-pool
  "Returns a pool that takes so many tasks as it should. It throws at those behind them, which it adds to the collection in the atom."
  ^ThreadPoolExecutor [well kept]
  (let [tasks (atom 0)]
    (starved/guarded-pool (fn [task]
                            (when (< (long well) (long (swap! tasks inc)))
                              (swap! kept conj task)
                              (throw (OutOfMemoryError. "unable to create native thread"))))
                          #(deref kept)
                          (LinkedBlockingQueue.))))

(defn- run-kept
  "Runs what the pool has kept. Returns how many tasks that were."
  [kept]
  (let [[tasks _] (swap-vals! kept empty)]
    (run! #(.run ^Runnable %) tasks)
    (count tasks)))

(deftest who-was-told-503-was-not-served
  (let [served (atom 0)
        kept (atom [])]
    (raw/with-server [port (fn [_] (swap! served inc) {:body "served"})
                      (assoc (raw/quiet) :worker-pool (failing-pool 0 kept) :dispatch :pool)]
      (is (= 503 (:status (raw/fetch port "GET" "/"))))
      (is (= 1 (run-kept kept)))
      (is (zero? (long @served))))))

(deftest messages-come-one-at-a-time
  (let [events (ws/events)
        begun (promise)
        go-on (promise)
        kept (atom [])
        numbers (map str (range 100))]
    (raw/with-server [port (fn [request]
                             (server/as-channel request {:on-receive (fn [_ message]
                                                                       (deliver begun true)
                                                                       (raw/await-value go-on)
                                                                       (run-kept kept)
                                                                       (ws/note events message))}))
                      ;; The request, and the first message.
                      {:worker-pool (failing-pool 2 kept) :dispatch :pool}]
      (ws/with-socket [connection port]
        (ws/send-text connection (first numbers))
        (raw/await-value begun)
        (apply ws/write-bytes connection (map #(ws/frame :text %) (rest numbers)))
        ;; The pong says that the engine has read what was before the ping.
        (ws/send-frame connection :ping "")
        (ws/read-frame connection)
        (deliver go-on true)
        (is (= numbers (repeatedly 100 #(ws/next-event events))))))))

(deftest a-stream-has-one-reader
  (let [total (* 16 1024 1024)
        kept (atom [])
        left (atom total)
        readers (atom 0)
        most-readers (atom 0)
        run-again (atom 0)
        body (proxy [InputStream] []
               (read [_ _ length]
                 (swap! most-readers max (swap! readers inc))
                 (swap! run-again + (run-kept kept))
                 (swap! readers dec)
                 (let [[before after] (swap-vals! left #(- (long %) (min (long length) (long %))))]
                   (if (pos? (long before)) (- (long before) (long after)) -1))))]
    (raw/with-server [port (fn [_] {:body body}) {:worker-pool (failing-pool 1 kept) :dispatch :pool}]
      (raw/with-connection [connection port :receive-buffer 8192]
        (raw/write connection (raw/request "GET" "/"))
        (is (= total (alength ^bytes (:bytes (raw/read-response connection)))))))
    (is (pos? (long @run-again)))
    (is (= 1 @most-readers))))

(deftest a-stop-runs-no-callback-again
  (let [kept (atom [])
        closes (ws/events)]
    ;; The request. What was kept is among the tasks that the stop finds left over.
    (raw/with-server [port #(server/as-channel % {:on-close (fn [_ status] (ws/note closes status))})
                      {:worker-pool (failing-pool 1 kept) :dispatch :pool}]
      (ws/with-socket [connection port]
        (ws/send-close connection 1000 "")
        (is (= :normal (ws/next-event closes)))))
    (is (= 1 (count @kept)))
    (is (ws/no-event? closes))))
