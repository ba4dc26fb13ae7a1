(ns org.httpkit.server-class-loader-test
  "The context class loader callbacks run with: that of the thread that called run-server, wherever a thread was started."
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (clojure.lang DynamicClassLoader)))

(defn- context-class-loader []
  (.getContextClassLoader (Thread/currentThread)))

(defn- run-server-with
  "Starts a server on a thread whose context class loader is `loader`."
  [loader handler options]
  (let [thread (Thread/currentThread)
        before (context-class-loader)]
    (.setContextClassLoader thread loader)
    (try
      (server/run-server handler options)
      (finally (.setContextClassLoader thread before)))))

(defn- telling
  "Returns a handler that delivers the channel as it opens, and the context class loader of its on-close."
  [opened seen]
  (fn [request]
    (server/as-channel request {:on-open #(deliver opened %)
                                :on-close (fn [_ _] (deliver seen (context-class-loader)))})))

(deftest pool-threads-that-start-with-an-on-close
  (raw/with-server [other (fn [_] {:body "another application"}) {}]
    (dotimes [_ 5]
      (let [loader (DynamicClassLoader. (context-class-loader))
            opened (promise)
            seen (promise)
            stop (run-server-with loader
                                  (telling opened seen)
                                  {:port 0 :ip "127.0.0.1" :dispatch :in-place})]
        (try
          (raw/with-connection [connection (:local-port (meta stop))]
            (raw/write connection (raw/request "GET" "/"))
            (is (not= :timeout (raw/await-value opened)))
            ;; Every thread of the engine has served the other application last.
            (dotimes [_ 32]
              (raw/fetch other "GET" "/")))
          (is (identical? loader (raw/await-value seen)))
          (finally (stop)))))))

(deftest threads-that-start-with-an-on-close-at-a-stop
  (doseq [timeout [0 100]]
    (let [loader (DynamicClassLoader. (context-class-loader))
          opened (promise)
          seen (promise)
          stop (run-server-with loader
                                (telling opened seen)
                                {:port 0 :ip "127.0.0.1"})]
      (raw/with-connection [connection (:local-port (meta stop))]
        (raw/write connection (raw/request "GET" "/"))
        (is (not= :timeout (raw/await-value opened)))
        (stop :timeout timeout))
      (is (identical? loader (raw/await-value seen)) timeout))))
