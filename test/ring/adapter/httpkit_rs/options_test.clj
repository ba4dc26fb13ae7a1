(ns ring.adapter.httpkit-rs.options-test
  "The adapter's options: names and defaults of ring.adapter.jetty."
  (:require [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.engine.ring :as ring]
            [ring.adapter.httpkit-rs.options :as options]
            [ring.adapter.running :as running])
  (:import (java.io File)))

(defn- message [options]
  (second (running/thrown-message #(options/checked options))))

(defn- run-server [options]
  (:run-server (options/checked options)))

(deftest defaults
  (is (= {:addresses [{:ip "0.0.0.0" :port 80}]
          :async-timeout 0
          :async-timeout-handler nil
          :run-server {:ring-async? false
                       :legacy-return-value? false
                       :legacy-content-length? false
                       :legacy-unsafe-remote-addr? false
                       :server-header "httpkit-rs"
                       :max-line 8192
                       :keep-alive-timeout 200000
                       :body-timeout 200000
                       :write-timeout 200000
                       ::ring/spec? true
                       ::ring/daemon? false
                       ::ring/websocket {:idle-millis 30000 :max-text 65536 :max-binary 65536 :raw-close-codes? true}}}
         (options/checked nil)
         (options/checked {})
         (testing "as for a nil"
           (options/checked {:port nil :host nil :max-idle-time nil :unix-socket nil :thread-pool nil :ssl-port nil
                             :configurator nil :async-timeout nil})))))

(deftest values
  (are [key value options] (= value (get (run-server options) key))
    :ring-async? true {:async? true}
    :server-header nil {:send-server-version? false}
    :server-header "mine" {:server-header "mine"}
    :server-header nil {:server-header nil}
    :max-line 100 {:request-header-size 100}
    :keep-alive-timeout 5 {:max-idle-time 5}
    :write-timeout 5 {:max-idle-time 5}
    :write-timeout 0 {:max-idle-time -1}
    :write-timeout 7 {:max-idle-time 5 :write-timeout 7}
    ::ring/daemon? true {:daemon? true}
    ::ring/websocket {:idle-millis 0 :max-text 1 :max-binary 2 :raw-close-codes? true}
    {:ws-idle-timeout 0 :ws-max-text-size 1 :ws-max-binary-size 2}
    :pool-opts {:n-threads 50 :queue-type :linked :queue-size 20480 :allow-virtual? false} {:min-threads 8}
    :pool-opts {:n-threads 4 :queue-type :linked :queue-size 8 :allow-virtual? false} {:max-threads 4 :max-queued-requests 1}
    :max-body 1 {:max-body 1}
    :trusted-proxies ["::1"] {:trusted-proxies ["::1"]})
  (are [expected options] (= expected (:addresses (options/checked options)))
    [{:ip "::1" :port 0}] {:host "::1" :port 0}
    [{:ip "0.0.0.0" :port 1} {:file (File. "/s")}] {:port 1 :unix-socket "/s"}
    [{:file (File. "/s")}] {:http? false :unix-socket (File. "/s")})
  (testing "a limit of time is for asynchronous handlers"
    (is (= 0 (:async-timeout (options/checked {:async-timeout 5}))))
    (is (= 5 (:async-timeout (options/checked {:async-timeout 5 :async? true}))))
    (is (= 0 (:async-timeout (options/checked {:async-timeout -5 :async? true}))))))

(deftest wrong-values
  (are [text options] (= text (message options))
    ":port must be an integer from 0 to 65535, got \"80\" (java.lang.String)" {:port "80"}
    ":port must be an integer from 0 to 65535, got 65536 (java.lang.Long)" {:port 65536}
    ":port must be an integer from 0 to 65535, got 1.5 (java.lang.Double)" {:port 1.5}
    ":host must be a host name or address, got :localhost (clojure.lang.Keyword)" {:host :localhost}
    ":join? must be true or false, got \"yes\" (java.lang.String)" {:join? "yes"}
    ":async? must be true or false, got 1 (java.lang.Long)" {:async? 1}
    ":async-timeout-handler must be a function of [request respond raise], got \"f\" (java.lang.String)"
    {:async-timeout-handler "f"}
    ":max-threads must be an integer from 1 to 2147483647, got 0 (java.lang.Long)" {:max-threads 0}
    ":min-threads must be at most :max-threads, 4, got 5 (java.lang.Long)" {:min-threads 5 :max-threads 4}
    ":thread-pool must be a java.util.concurrent.Executor, got 4 (java.lang.Long)" {:thread-pool 4}
    ":ws-max-text-size must be an integer from 1 to 2147483647, got 0 (java.lang.Long)" {:ws-max-text-size 0}
    ":unix-socket must be a path, got 1 (java.lang.Long)" {:unix-socket 1}
    "With :http? false there must be a :unix-socket" {:http? false}
    "The options must be a map, got [:port 80]" [:port 80]
    ":send-date-header? must be true: a server with a clock sends the header (RFC 9110 section 6.6.1), got false (java.lang.Boolean)"
    {:send-date-header? false})
  (testing "run-server's own are refused by it, before anything is started"
    (is (= "No matching clause: :fast (:dispatch must be one of :pool, :in-place, :adaptive)"
           (second (running/thrown-message #(running/start identity {:dispatch :fast}))))))
  (testing "a handler that is none"
    (is (= IllegalArgumentException (first (running/thrown-message #(running/start nil {:async? true :async-timeout 5})))))))

(deftest tls
  (testing "is refused, and says which options ask for it"
    (are [named options] (re-find (re-pattern (str "^TLS is not supported\\. Refused: " named "\\. "))
                                  (str (message options)))
      ":ssl-port" {:ssl-port 443}
      ":ssl\\?" {:ssl? true}
      ":ssl\\?, :keystore, :key-password" {:ssl? true :keystore "k" :key-password "p"}
      ":keystore" {:keystore "k"}
      ":ssl-context" {:ssl-context :context}
      ":client-auth" {:client-auth :need}
      ":ssl\\?, :ssl-port" {:ssl? false :ssl-port 443}))
  (testing "what is said not to be wanted is no harm"
    (is (nil? (message {:ssl? false})))
    (is (nil? (message {:ssl? false :keystore "k" :sni-host-check? true})))))

(deftest configurators
  (is (re-find #"^:configurator functions receive a Jetty Server; this server is httpkit-rs. Use options instead: :port, .*run-jetty$"
               (message {:configurator identity}))))

(deftest options-nobody-knows
  (let [log (atom [])]
    (testing "are named in a warning"
      (options/checked (assoc (raw/quiet log) :prot 80 "x" 1))
      (is (= [["Unknown options of run-httpkit-rs: :prot, \"x\"" nil]] @log)))
    (testing "but not an application's own, nor Jetty's that have no effect here"
      (options/checked (assoc (raw/quiet log) :my.app/option 1 :acceptor-threads 1 :selector-threads 1 :output-buffer-size 1
                              :response-header-size 1 :thread-idle-timeout 1 :send-date-header? true))
      (is (= 1 (count @log))))))
