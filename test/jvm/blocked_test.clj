(ns jvm.blocked-test
  "Handlers that never return or interrupt themselves: everybody else is served within the figures
  (docs/RELIABILITY.md, L4, L5, L6)."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [jvm.load :as load]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch LinkedBlockingQueue TimeUnit)))

(set! *warn-on-reflection* true)

(defn- quickest
  "Returns the least of the milliseconds `f` takes in ten rounds: what else the machine does only adds to them."
  [f]
  (apply min (repeatedly 10 #(first (load/timed f)))))

(defn- blocking
  "Returns a handler that waits for the gate in /block, after opening `entered`, and echoes on the WebSocket /socket."
  [^CountDownLatch entered gate]
  (fn [{:keys [uri] :as request}]
    (case uri
      "/block"  (do (.countDown entered) (raw/await-latch gate) {:body "blocked"})
      "/socket" (server/as-channel request {:on-receive server/send!})
      {:body "fine"})))

(defn- block
  "Opens connections whose requests block, and waits until so many handlers have been entered."
  [port entered number]
  (let [connections (doall (repeatedly number #(raw/write (raw/connect port) (raw/request "GET" "/block"))))]
    (is (raw/await-latch entered))
    (vec connections)))

(defn- await-requests
  "Waits until the server has handed so many requests to handlers or to the queue."
  [server number]
  (raw/await-true #(<= (long number) (long (:requests (server/server-stats server))))))

(deftest all-workers-blocked-and-the-queue-full
  (doseq [dispatch [:pool :adaptive]]
    (testing dispatch
      (let [gate (CountDownLatch. 1)
            workers 4
            queued 4
            entered (CountDownLatch. workers)
            stop (server/run-server (blocking entered gate)
                                    (assoc (raw/quiet) :port 0 :ip "127.0.0.1" :dispatch dispatch :thread workers
                                           :queue-size queued :allow-virtual? false :header-timeout 200))
            port (:local-port (meta stop))]
        (ws/with-socket [socket port :target "/socket"]
          (let [connections (block port entered workers)
                connections (into connections (repeatedly queued #(raw/write (raw/connect port) (raw/request "GET" "/block"))))]
            (await-requests stop (+ 1 workers queued))
            (is (= "1" (get-in (raw/fetch port "GET" "/block") [:headers "retry-after"])))
            (is (> 100 (long (quickest #(is (= 503 (:status (raw/fetch port "GET" "/block"))))))))
            (testing "pings are answered, connections accepted, deadlines kept"
              (is (> 100 (long (quickest #(do (ws/send-frame socket :ping "p")
                                              (is (= :pong (:type (ws/read-frame socket)))))))))
              (raw/with-connection [connection port]
                (raw/write connection "GET / HT")
                (let [[millis response] (load/timed #(raw/read-response connection))]
                  (is (= 408 (:status response)))
                  (is (> 2000 (long millis))))))
            (.countDown gate)
            (is (= #{"blocked"} (set (map #(:body (raw/read-response %)) connections))))
            (run! raw/disconnect connections)))
        (stop)))))

(deftest blocked-handlers-under-default-settings
  (let [gate (CountDownLatch. 1)
        processors (.availableProcessors (Runtime/getRuntime))
        entered (CountDownLatch. processors)]
    (raw/with-server [port (blocking entered gate) {}]
      (let [blocked (block port entered processors)]
        (is (> 50 (long (quickest #(is (= "fine" (:body (raw/fetch port "GET" "/"))))))))
        (.countDown gate)
        (run! raw/disconnect blocked)))))

(deftest interrupts-of-the-handlers-own
  (doseq [options [{:dispatch :pool :allow-virtual? false} {:dispatch :in-place} {:dispatch :adaptive}]]
    (testing options
      (raw/with-server [port (fn [_]
                               (let [before (.isInterrupted (Thread/currentThread))]
                                 (.interrupt (Thread/currentThread))
                                 {:body (str before)}))
                        options]
        (is (= {[200 "false"] 10000} (load/fetch-times port (raw/request "GET" "/") 10000)))))))

(deftest handlers-take-any-time
  (testing "whatever the deadlines for what comes from the client"
    (raw/with-servers [port (fn [_] (.poll (LinkedBlockingQueue.) 250 TimeUnit/MILLISECONDS) {:body "slow"})
                       {:header-timeout 50 :body-timeout 50 :keep-alive-timeout 50 :write-timeout 50}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/") (raw/request "POST" "/" :body "body"))
        (is (= ["slow" "slow"] (repeatedly 2 #(:body (raw/read-response connection)))))))))
