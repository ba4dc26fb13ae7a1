(ns org.httpkit.server-adaptive-test
  "Adaptive dispatch: quick handlers run on the engine's threads, and slow ones hold nobody up."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch Semaphore)
           (java.util.concurrent.locks ReentrantLock)))

(use-fixtures :each temporary/cleanup)

(def ^:private processors (.availableProcessors (Runtime/getRuntime)))

(defn- engine-thread? []
  (string/starts-with? (.getName (Thread/currentThread)) "httpkit-rs-"))

(defn- fetch-times
  "Sends `times` requests one after the other on one connection and returns their bodies."
  [port times target]
  (raw/with-connection [connection port]
    (mapv (fn [_]
            (raw/write connection (raw/request "GET" target))
            (:body (raw/read-response connection)))
          (range times))))

(deftest quick-routes-run-in-place
  ;; A thread that loses its core for a moment is not slow here.
  (raw/with-stats [port stats (fn [_] {:body (str (engine-thread?))}) {:in-place-budget 100000}]
    (fetch-times port 2000 "/")
    (let [{:keys [requests in-place pool connections-accepted bytes-in bytes-out]} (stats)]
      (is (= 2000 requests (+ in-place pool)))
      (is (< 1000 in-place))
      (is (= 1 connections-accepted))
      (is (< 2000 bytes-in bytes-out))
      (testing "the counters say where a handler ran"
        (is (some #{"true"} (fetch-times port 1000 "/")))))))

(deftest a-slow-route-leaves-and-returns
  (let [slow? (atom true)]
    (raw/with-stats [port stats (fn [_] (when @slow? (Thread/sleep 5)) {:body (str (engine-thread?))}) {}]
      (testing "after a handful of calls"
        (is (= "false" (peek (fetch-times port 10 "/report"))))
        (is (<= 1 (:mispredicted (stats)) 5)))
      (testing "once it is quick, after as many quick ones as it had been stubborn"
        (reset! slow? false)
        (is (some #{"true"} (fetch-times port 2000 "/report")))))))

(deftest a-large-file-is-not-a-slow-handler
  (let [slow? (atom true)
        file (temporary/file (string/join (repeat (* 4 1024 1024) "x")))]
    (raw/with-stats [port _ (fn [_]
                          (when @slow? (Thread/sleep 5))
                          {:headers {"X-In-Place" (str (engine-thread?))} :body file})
                 {:in-place-budget 100}]
      (raw/with-connection [connection port]
        (let [in-place? (fn []
                          (raw/write connection (raw/request "GET" "/file"))
                          (= "true" (get-in (raw/read-response connection) [:headers "x-in-place"])))]
          (is (some false? (repeatedly 10 in-place?)))
          (reset! slow? false)
          (is (raw/await-true in-place?)))))))

(deftest a-route-does-not-depend-on-ids
  (raw/with-stats [port stats (fn [{:keys [uri]}] (when (string/starts-with? uri "/slow") (Thread/sleep 3)) {:body ""}) {}]
    (dotimes [id 50]
      (raw/fetch port "GET" (str "/slow/" id)))
    (is (>= 5 (:mispredicted (stats))))))

(deftest blocked-handlers-hold-nobody-up
  (doseq [options [{} {:allow-virtual? false}]]
    (testing options
      (let [gate (CountDownLatch. 1)
            blocked 16
            entered (CountDownLatch. blocked)
            handler (fn [{:keys [uri]}]
                      (when (= uri "/blocked")
                        (.countDown entered)
                        (raw/await-latch gate))
                      {:body uri})]
        (raw/with-server [port handler options]
          (let [connections (doall (repeatedly blocked #(raw/connect port)))]
            (try
              (doseq [connection connections]
                (raw/write connection (raw/request "GET" "/blocked")))
              (is (raw/await-latch entered))
              (is (= (repeat 50 "/quick") (fetch-times port 50 "/quick")))
              (.countDown gate)
              (is (= (repeat blocked "/blocked") (map (comp :body raw/read-response) connections)))
              (finally (run! raw/disconnect connections)))))))))

(deftest nothing-deadlocks
  (testing "a handler that calls its own server"
    (let [own-port (promise)]
      (raw/with-server [port (fn [{:keys [uri]}]
                               {:body (if (= uri "/inner") "inner" (:body (raw/fetch @own-port "GET" "/inner")))}) {}]
        (deliver own-port port)
        (is (= (repeat 20 "inner") (fetch-times port 20 "/outer"))))))
  (testing "a handler that waits for what another request delivers"
    (let [delivered (promise)
          waiting (CountDownLatch. processors)]
      (raw/with-server [port (fn [{:keys [uri]}]
                               (if (= uri "/deliver")
                                 (do (deliver delivered "given") {:body ""})
                                 (do (.countDown waiting) {:body (raw/await-value delivered)}))) {}]
        (let [answers (doall (repeatedly processors #(future (:body (raw/fetch port "GET" "/wait")))))]
          (is (raw/await-latch waiting))
          (raw/fetch port "GET" "/deliver")
          (is (= (repeat processors "given") (map raw/await-value answers)))))))
  (testing "handlers that take a lock another one holds"
    (let [lock (ReentrantLock.)
          held (CountDownLatch. 1)
          gate (CountDownLatch. 1)]
      (raw/with-server [port (fn [{:keys [uri]}]
                               (.lock lock)
                               (try
                                 (when (= uri "/hold")
                                   (.countDown held)
                                   (raw/await-latch gate))
                                 {:body uri}
                                 (finally (.unlock lock)))) {}]
        (let [holder (future (:body (raw/fetch port "GET" "/hold")))
              _ (raw/await-latch held)
              waiters (doall (for [_ (range 8)] (future (:body (raw/fetch port "GET" "/take")))))]
          (.countDown gate)
          (is (= "/hold" (raw/await-value holder)))
          (is (= (repeat 8 "/take") (map raw/await-value waiters))))))))

(deftest a-connection-goes-on-without-its-handler
  (testing "what send! left to be written is written while the handler waits"
    (let [gate (CountDownLatch. 1)
          length (* 8 1024 1024)]
      (raw/with-server [port (fn [{:keys [async-channel]}]
                               (server/send! async-channel {:body (byte-array length)} true)
                               (raw/await-latch gate)
                               {:body async-channel}) (raw/quiet)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (is (= length (alength ^bytes (:bytes (raw/read-response connection)))))
          (.countDown gate)))))
  (testing "the client's end is noticed while the handler waits for it"
    (let [closed (promise)]
      (raw/with-server [port (fn [{:keys [async-channel]}]
                               (let [gone (CountDownLatch. 1)]
                                 (server/on-close async-channel (fn [_] (.countDown gone)))
                                 (server/send! async-channel {:body "x"} false)
                                 (deliver closed (raw/await-latch gone))
                                 {:body async-channel})) (raw/quiet)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/read-head connection))
        (is (true? (raw/await-value closed))))))
  (testing "requests behind a slow one are answered in order, earlier answers not held back"
    (let [gate (CountDownLatch. 1)]
      (raw/with-server [port (fn [{:keys [uri]}]
                               (when (= uri "/3") (raw/await-latch gate))
                               {:body uri}) {}]
        (raw/with-connection [connection port]
          (raw/write connection (string/join (for [number (range 1 6)] (raw/request "GET" (str "/" number)))))
          (is (= ["/1" "/2"] (repeatedly 2 #(:body (raw/read-response connection)))))
          (.countDown gate)
          (is (= ["/3" "/4" "/5"] (repeatedly 3 #(:body (raw/read-response connection))))))))))

(deftest a-bound-counts-handlers-wherever-they-run
  (let [running (atom 0)
        most (atom 0)
        handler (fn [_]
                  (swap! most max (swap! running inc))
                  (Thread/sleep 1)
                  (swap! running dec)
                  {:body "done"})]
    (raw/with-server [port handler {:thread 1 :allow-virtual? false}]
      (is (= (repeat 8 (repeat 20 "done"))
             (map deref (doall (repeatedly 8 #(future (fetch-times port 20 "/")))))))
      (is (= 1 @most)))))

(deftest a-full-server-refuses
  (let [gate (Semaphore. 0)
        entered (CountDownLatch. 2)]
    (raw/with-stats [port stats (fn [_] (.countDown entered) (.acquire gate) {:body "done"})
                 (assoc (raw/quiet) :thread 2 :queue-size 3 :allow-virtual? false)]
      (let [connections (doall (repeatedly 5 #(raw/connect port)))]
        (try
          (doseq [connection connections]
            (raw/write connection (raw/request "GET" "/")))
          (is (raw/await-latch entered))
          (is (raw/await-true #(<= 5 (:requests (stats)))))
          (let [{:keys [status headers]} (raw/fetch port "GET" "/")]
            (is (= [503 "1"] [status (headers "retry-after")])))
          (is (= 1 (:refused (stats))))
          (.release gate 5)
          (is (= (repeat 5 "done") (map (comp :body raw/read-response) connections)))
          (finally (run! raw/disconnect connections)))))))

(deftest statistics-outlive-the-server
  (let [stop (server/run-server (fn [_] {}) {:port 0 :ip "127.0.0.1"})]
    (raw/fetch (:local-port (meta stop)) "GET" "/")
    (raw/fetch (:local-port (meta stop)) "GET" "/ bad")
    (stop)
    (is (= {:requests 1 :rejected 1 :connections-accepted 2}
           (select-keys (server/server-stats stop) [:requests :rejected :connections-accepted])))))
