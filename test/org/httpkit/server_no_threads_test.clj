(ns org.httpkit.server-no-threads-test
  "A machine that has no more threads to give, for a moment: what is refused then, what is owed, and that all is well afterwards."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.barred :as barred]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch LinkedBlockingQueue SynchronousQueue ThreadFactory ThreadPoolExecutor TimeUnit)
           (org.httpkit.engine GrowingPool)))

(set! *warn-on-reflection* true)

(defn- wait-a-little
  "A handler slow enough to run on the pool."
  [_]
  (.poll (LinkedBlockingQueue.) 1 TimeUnit/MILLISECONDS)
  {:body "waited"})

(deftest requests-are-served-again
  (testing "after they were refused for want of a thread, and count as neither running nor waiting"
    (let [barred? (atom false)
          new-worker server/new-worker
          worker (fn [options]
                   (let [{:keys [^ThreadPoolExecutor pool] :as made} (new-worker options)]
                     (.setThreadFactory pool (barred/factory barred?))
                     made))]
      (with-redefs [server/new-worker worker]
        (raw/with-server [port wait-a-little (merge (raw/quiet) {:thread 2 :queue-size 1 :allow-virtual? false})]
          (let [status #(:status (raw/fetch port "GET" "/"))]
            (reset! barred? true)
            (is (= 10 (count (take 10 (filter #{503} (repeatedly 100 status))))))
            (reset! barred? false)
            (is (= (repeat 10 200) (repeatedly 10 status)))))))))

(defn- notes-closes
  "Returns a handler that upgrades; on-close waits for the gate and notes the status."
  [gate closes]
  (fn [request]
    (server/as-channel request {:on-close (fn [_ status] (raw/await-latch gate) (ws/note closes status))})))

(defn- pools
  "By kind: pools whose threads come from the factory."
  [^ThreadFactory factory]
  {"that queues what finds no thread" (GrowingPool. 1 16 1000 factory)
   "that takes nothing then" (ThreadPoolExecutor. 0 16 60 TimeUnit/SECONDS (SynchronousQueue.) factory)})

(deftest on-close-is-owed
  (doseq [kind (keys (pools (barred/factory (atom false))))]
    (testing (str "a pool " kind)
      (let [barred? (atom false)
            gate (CountDownLatch. 1)
            closes (ws/events)]
        (raw/with-stats [port stats (notes-closes gate closes)
                         {:worker-pool (get (pools (barred/factory barred?)) kind)}]
          (let [sockets (doall (repeatedly 10 #(ws/connect port)))]
            (reset! barred? true)
            (run! ws/reset sockets)
            ;; A thread that is there already must not take one after the other.
            (raw/await-true #(zero? (long (:connections (stats)))))
            (.countDown gate)
            (is (= (repeat 10 :going-away) (take-while #{:going-away} (repeatedly 10 #(ws/next-event closes)))))
            (is (ws/no-event? closes))))))))

(deftest messages-without-a-thread
  (testing "are lost, so the WebSocket is closed, and its end is told"
    (let [barred? (atom false)
          closes (ws/events)
          log (ws/events)
          pool (ThreadPoolExecutor. 0 16 1 TimeUnit/MILLISECONDS (SynchronousQueue.) (barred/factory barred?))]
      (raw/with-server [port (fn [request]
                               (server/as-channel request {:on-receive (fn [_ _])
                                                           :on-close (fn [_ status] (ws/note closes status))}))
                        {:worker-pool pool :error-logger (fn [message _] (ws/note log message))}]
        (ws/with-socket [socket port]
          (is (raw/await-true #(zero? (.getPoolSize pool))))
          (reset! barred? true)
          (ws/send-text socket "x")
          (is (= [1013 "Server overloaded"] (ws/read-close socket)))
          (is (= :server-close (ws/next-event closes)))
          (is (= "increase :queue-size if this happens often" (ws/next-event log))))))))

(deftest what-is-owed-without-any-thread
  (testing "runs once there is one"
    (let [barred? (atom true)
          ran (CountDownLatch. 3)
          overflow (barred/overflow barred?)]
      (dotimes [_ 3]
        (barred/execute overflow #(.countDown ran)))
      (is (= 3 (.getCount ran)))
      (let [server (barred/serve overflow)]
        (is (= 3 (.getCount ran)))
        (reset! barred? false)
        (is (raw/await-latch ran))
        (barred/stop overflow)
        (is (nil? (raw/await-value server)))))))
