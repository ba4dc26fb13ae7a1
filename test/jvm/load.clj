(ns jvm.load
  "Clients of a server in another JVM, many at once, and how long things take."
  (:require [clojure.string :as string]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws])
  (:import (java.io Closeable IOException)
           (java.util.concurrent.atomic AtomicLong)))

(set! *warn-on-reflection* true)

(defn timed
  "Calls `f` and returns [milliseconds value]."
  [f]
  (let [before (System/nanoTime)
        value (f)]
    [(quot (- (System/nanoTime) before) 1000000) value]))

(defn fetch-times
  "Sends the request so many times on one connection, in batches, and returns the frequencies of [status body]."
  [port text times]
  (raw/with-connection [connection port]
    (reduce (fn [seen batch]
              (raw/write connection (string/join (repeat batch text)))
              (reduce (fn [seen _]
                        (let [{:keys [status body]} (raw/read-response connection)]
                          (update seen [status body] (fnil inc 0))))
                      seen (range batch)))
            {} (concat (repeat (quot (long times) 50) 50) [(rem (long times) 50)]))))

(defn echo-sockets
  "Opens so many WebSockets, one after the other, and has one message echoed by each. Returns how many were right."
  [port times]
  (count (filter (fn [number]
                   (ws/with-socket [socket port :target "/socket"]
                     (ws/send-text socket (str number))
                     (let [right? (= (str number) (ws/read-text socket))]
                       (ws/send-close socket)
                       (ws/read-close socket)
                       right?)))
                 (range times))))

(defn- client
  "Runs requests until the connection ends."
  [port ^AtomicLong answers]
  (try
    (raw/with-connection [connection port]
      (loop []
        (raw/write connection (raw/request "GET" "/") (raw/request "POST" "/echo" :body "echoed"))
        (when (and (raw/read-response connection) (raw/read-response connection))
          (.addAndGet answers 2)
          (recur))))
    (catch IOException _ nil)
    ;; The server ended within a response.
    (catch clojure.lang.ExceptionInfo _ nil)))

(defrecord Load [clients ^AtomicLong answers]
  Closeable
  (close [_]
    (run! deref clients)))

(defn start
  "Has so many clients send requests until their connections end. Returns a Closeable that waits for that."
  ^Closeable [port clients]
  (let [answers (AtomicLong.)]
    (->Load (vec (repeatedly clients #(future (client port answers)))) answers)))

(defn await-answers
  "Waits until the clients have had so many answers."
  [{:keys [^AtomicLong answers]} number]
  (when-not (raw/await-true #(<= (long number) (.get answers)))
    (throw (ex-info "No load" {:answers (.get answers)}))))
