(ns org.httpkit.server-no-memory-test
  "A heap that is full, for a moment: what is owed is told once there is room, and no client waits for an answer that nobody gives
  (docs/RELIABILITY.md, J17). Where memory is allocated stands a part that has none; `jvm.memory-test` fills a heap in earnest."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.hidden :as hidden]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.starved :as starved]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.engine.ring :as ring]
            [org.httpkit.server :as server])
  (:import (java.io InputStream)
           (java.util Map)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)))

(set! *warn-on-reflection* true)

(def ^:private often
  "More often than an attempt and its repetition."
  3)

(defmacro ^:private with-running
  "Runs the body with the port of a server, and the application behind it."
  [[port application handler options] & body]
  `(let [running# (server/run-server ~handler (merge (raw/quiet) {:port 0 :ip "127.0.0.1" :legacy-return-value? false} ~options))
         ~port (server/server-port running#)
         ~application (hidden/value running# "application")]
     (try
       ~@body
       (finally
         @(server/server-stop! running# {:timeout 0})))))

(defn- starve-table!
  "Puts a map that starves in place of a table of the application's."
  [application name times]
  (hidden/replace! application name (starved/table times)))

(defn- notes
  "Returns a handler that upgrades or, for HTTP, streams, and notes [:open ch] and [:closed status]."
  [events]
  (fn [request]
    (server/as-channel request {:on-open (fn [ch]
                                           (when-not (:websocket? request)
                                             (server/send! ch {:status 200} false))
                                           (ws/note events [:open ch]))
                                :on-close (fn [_ status] (ws/note events [:closed status]))})))

(def ^:private channels
  "By the table that knows of it: what opens a channel, and what is said of its loss."
  {"listeners" [#(doto (raw/connect %) (raw/write (raw/request "GET" "/")) raw/read-head) :client-close]
   "webSockets" [ws/connect :going-away]})

(deftest an-end-that-cannot-be-told
  (doseq [[table [open status]] channels]
    (testing table
      (let [events (ws/events)
            times (atom 0)]
        (with-running [port application (notes events) {}]
          (starve-table! application table times)
          (let [connection (open port)]
            (is (= :open (first (ws/next-event events))))
            (reset! times often)
            (raw/disconnect connection)
            (is (= [:closed status] (ws/next-event events)))
            (is (ws/no-event? events))
            (is (.isEmpty ^Map (hidden/value application table)))))))))

(deftest an-end-that-nobody-can-run
  (doseq [[table [open status]] channels]
    (testing table
      (let [events (ws/events)
            times (atom 0)]
        (with-running [port application (notes events) {:worker-pool (starved/pool times) :dispatch :in-place}]
          (hidden/replace! (hidden/value application "overflow") "threads" (starved/pool times))
          (let [connection (open port)]
            (is (= :open (first (ws/next-event events))))
            (reset! times 10)
            (raw/disconnect connection)
            (is (= [:closed status] (ws/next-event events)))
            (is (zero? (long @times)))
            (is (ws/no-event? events))))))))

(deftest room-that-cannot-be-told
  (testing "wakes the one that waits for it all the same"
    (let [events (ws/events)
          times (atom 0)
          piece (string/join (repeat 100000 "x"))]
      (with-running [port application (notes events) {:slow-client :block}]
        (starve-table! application "listeners" times)
        (raw/with-connection [connection port :receive-buffer 8192]
          (raw/write connection (raw/request "GET" "/"))
          (let [[_ ch] (ws/next-event events)
                sender (future (dotimes [_ 200] (server/send! ch piece false))
                               (server/close ch))]
            (is (raw/await-true #(some-> (hidden/value ch "window") (hidden/value "room"))))
            (reset! times often)
            (is (= 20000000 (count (:bytes (raw/read-response connection)))))
            (is (true? (raw/await-value sender)))
            (is (zero? (long @times)))))))))

(deftest a-body-that-cannot-be-told-of
  (testing "is read all the same"
    (let [times (atom 0)
          reading (promise)]
      (with-running [port application (fn [{:keys [^InputStream body]}]
                                        (.read body)
                                        (deliver reading true)
                                        {:body (str (count (.readAllBytes body)))})
                     {:stream-body? true}]
        (starve-table! application "bodies" times)
        (raw/with-connection [connection port]
          (raw/write connection "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
          (is (raw/await-value reading))
          ;; Registered, so that only the news that there is more meets it.
          (is (raw/await-true #(not (.isEmpty ^Map (hidden/value application "bodies")))))
          (reset! times often)
          (raw/write connection "3\r\nyyy\r\n")
          (is (raw/await-true #(zero? (long @times))))
          (raw/write connection "0\r\n\r\n")
          (is (= "3" (:body (raw/read-response connection)))))))))

(defn- wait-a-little
  "A handler slow enough to run on the pool."
  [_]
  (.poll (LinkedBlockingQueue.) 1 TimeUnit/MILLISECONDS)
  {:body "waited"})

(deftest a-handler-that-cannot-wait-for-its-turn
  (testing "has it when it comes"
    (let [times (atom 0)]
      (with-running [port application wait-a-little {:thread 4 :allow-virtual? false}]
        (let [body #(:body (raw/fetch port "GET" "/"))]
          (dotimes [_ 10]
            (body))
          (hidden/replace! (hidden/value application "dispatcher") "running" (starved/permits 1000 times))
          (reset! times 1)
          (is (= (repeat 5 "waited") (repeatedly 5 body)))
          (is (zero? (long @times))))))))

(deftest a-handshake-that-cannot-be-entered
  (testing "is answered with 500"
    (let [times (atom 0)
          events (ws/events)]
      (with-running [port application (notes events) {}]
        (starve-table! application "webSockets" times)
        (reset! times 1)
        (raw/with-connection [connection port]
          (is (= 500 (:status (ws/handshake connection)))))
        (is (= [:closed :server-close] (ws/next-event events)))
        (ws/with-socket [_ port]
          (is (= :open (first (ws/next-event events)))))))))

(deftest an-answer-that-cannot-be-entered
  (testing "gives way to 500"
    (let [times (atom 0)]
      (with-running [port application (constantly {:status 200 :headers {} :body (list "a" "b")}) {::ring/spec? true}]
        (starve-table! application "listeners" times)
        (reset! times 1)
        (is (= [500 200] (repeatedly 2 #(:status (raw/fetch port "GET" "/")))))
        (is (zero? (long @times)))))))
