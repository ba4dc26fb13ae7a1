(ns ring-jetty-ws.adapter-test
  "run-jetty with a configurator."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.websocket :as client]
            [ring-jetty-ws.adapter :refer [run-jetty]]
            [ring-jetty-ws.ws :as ws])
  (:import (java.net URL URLClassLoader)))

(use-fixtures :once temporary/cleanup)

(def ^:private configurator
  (ws/configurator (constantly {:ws-handlers {:on-text (fn [socket text] (ws/send! socket text))}})))

(defmacro ^:private with-jetty
  "Runs the body with the port of a server started by run-jetty."
  [[port server options] & body]
  `(let [~server (run-jetty (constantly {:status 200 :body "ring"})
                            (merge {:port 0 :host "127.0.0.1" :join? false} ~options))
         ~port (.getPort ~server)]
     (try ~@body (finally (.stop ~server)))))

(defn- echoes? [port]
  (client/with-socket [connection port]
    (client/send-text connection "x")
    (= "x" (client/read-text connection))))

(deftest a-configurator
  (with-jetty [port server {:configurator configurator}]
    (is (= "ring" (:body (raw/fetch port "GET" "/"))))
    (is (echoes? port))
    (is (true? (.isRunning server)))))

(deftest none
  (with-jetty [port _ {}]
    (is (= "ring" (:body (raw/fetch port "GET" "/"))))))

(deftest composed-configurators
  (testing "a function around a configurator"
    (let [called (atom 0)]
      (with-jetty [port _ {:configurator (fn [server] (swap! called inc) (configurator server))}]
        (is (echoes? port))
        (is (= 1 @called)))
      (with-jetty [port _ {:configurator (fn [server] (apply configurator [server]))}]
        (is (echoes? port))))))

(defn- refusal [value]
  (try
    (.stop (run-jetty identity {:port 0 :join? false :configurator value}))
    (catch IllegalArgumentException e (ex-message e))))

(deftest foreign-configurators
  (testing "a function that wants a Jetty Server fails at the start, and says why"
    (let [receive #":configurator functions receive a Jetty Server; this server is httpkit-rs\."]
      (is (re-find receive (refusal (fn [server] (.setStopTimeout server 1)))))
      (is (re-find #"The function failed: .*setStopTimeout" (refusal (fn [server] (.setStopTimeout server 1)))))
      (is (re-find receive (refusal (fn [_] nil))))
      (is (re-find receive (refusal "no function")))
      (is (re-find #"one ring-jetty-ws.ws/configurator"
                   (refusal (fn [server] (configurator server) (configurator server)))))))
  (testing "our configurator in another server"
    (is (thrown-with-msg? IllegalArgumentException #"use it with ring-jetty-ws.adapter/run-jetty. .* java.lang.Object"
                          (configurator (Object.))))))

(deftest stopping
  (testing "the sockets are closed with 1001"
    (let [closed (promise)
          handlers {:on-close (fn [_ code _] (deliver closed code))}]
      (with-jetty [port server {:configurator (ws/configurator (constantly {:ws-handlers handlers}))}]
        (client/with-socket [connection port]
          (.stop server)
          (is (= 1001 (first (client/read-close connection))))
          (is (= 1001 (raw/await-value closed))))))))

(deftest both-libraries-on-the-class-path
  (let [directory (temporary/directory)
        found? (fn [] (with-open [loader (URLClassLoader. (into-array URL [(.toURL (.toURI directory))]) nil)]
                        (ws/original? loader)))
        class-file (io/file directory "ring-jetty-ws" "Listener.class")]
    (is (false? (found?)))
    (io/make-parents class-file)
    (spit class-file "")
    (is (true? (found?)))))
