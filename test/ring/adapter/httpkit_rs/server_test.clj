(ns ring.adapter.httpkit-rs.server-test
  "The object a Ring adapter returns, and where it listens."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.unix :as unix]
            [ring.adapter.httpkit-rs :refer [run-httpkit-rs]]
            [ring.adapter.running :as running])
  (:import (java.io Closeable)
           (java.net BindException ConnectException ServerSocket URI)
           (java.util.concurrent CountDownLatch Executor Executors)
           (ring.adapter.httpkit_rs.server Server)))

(use-fixtures :each temporary/cleanup)

(defn- hello [_] {:status 200 :headers {} :body "hello"})

(deftest methods-of-a-server
  (let [server (running/start hello {})
        port (.getPort server)
        states (fn [] [(.isRunning server) (.isStarted server) (.isStopped server)])]
    (is (pos? port))
    (is (= port (.getLocalPort server) (.getLocalPort ^Server (first (.getConnectors server)))))
    (is (= (URI. (str "http://127.0.0.1:" port "/")) (.getURI server)))
    (is (= [true true false] (states)))
    (is (= "hello" (:body (running/fetch server "GET" "/"))))
    (testing "to start a running server changes nothing"
      (.start server)
      (is (= port (.getPort server))))
    (testing "stop, and stop again"
      (.stop server)
      (.stop server)
      (is (= [false false true] (states)))
      (is (thrown? ConnectException (raw/connect port)))
      (.join server))
    (testing "a stopped server can be started"
      (.start server)
      (is (= [true true false] (states)))
      (is (= "hello" (:body (running/fetch server "GET" "/")))))
    (testing "close is stop"
      (.close ^Closeable server)
      (is (.isStopped server)))))

(deftest every-address-is-localhost
  (with-open [^Closeable server (run-httpkit-rs hello {:port 0 :join? false})]
    (is (= (URI. (str "http://localhost:" (.getPort ^Server server) "/")) (.getURI ^Server server)))
    (is (= "hello" (:body (running/fetch server "GET" "/"))))))

(deftest join
  (testing "returns when the server has been stopped"
    (let [server (running/start hello {})
          joining (CountDownLatch. 1)
          joined (future (.countDown joining) (.join server) (.isRunning server))]
      (is (raw/await-latch joining))
      (is (not (realized? joined)))
      (.stop server)
      (is (false? (raw/await-value joined)))))
  (testing "is what the call does by default"
    (let [free (with-open [socket (ServerSocket. 0)] (.getLocalPort socket))
          outcome (promise)
          thread (Thread. #(deliver outcome (running/thrown-message
                                             (fn [] (run-httpkit-rs hello {:port free :host "127.0.0.1"})))))
          connected (fn [] (try (raw/disconnect (raw/connect free)) true (catch ConnectException _ false)))]
      (.start thread)
      (while (not (connected)) (Thread/yield))
      (testing "until it is interrupted, which stops the server"
        (is (.isAlive thread))
        (.interrupt thread)
        (is (= InterruptedException (first (raw/await-value outcome))))
        (is (not (connected)))))))

(deftest port-in-use
  (running/with-server [server hello {}]
    (is (thrown? BindException (running/start hello {:port (.getPort server)})))))

(deftest threads-do-not-outlive-a-failed-start
  (running/with-server [server hello {}]
    (let [timers (fn [] (filter #(.startsWith (.getName ^Thread %) "httpkit-rs-async-timeout-")
                                (keys (Thread/getAllStackTraces))))
          before (set (timers))]
      (is (thrown? BindException (running/start hello {:port (.getPort server) :async? true :async-timeout 1000})))
      (is (empty? (remove before (filter #(.isAlive ^Thread %) (timers))))))))

(deftest unix-sockets
  (let [file (io/file (temporary/directory) "ring.sock")
        fetch #(unix/exchange (unix/address file) "GET / HTTP/1.0\r\n\r\n")
        seen (promise)
        handler (fn [request] (deliver seen request) (hello request))]
    (if (unix/address file)
      (do
        (doseq [path [(str file) file (.toPath file)]]
          (testing (class path)
            (running/with-server [server handler {:unix-socket path :http? false}]
              (is (= -1 (.getPort server)))
              (is (= (URI. "unix" nil (.getAbsolutePath file) nil) (.getURI server)))
              (is (re-find #"(?s)^HTTP/1.1 200.*hello$" (fetch)))
              (testing "SPEC: a name and an address are strings"
                (is (= ["localhost" ""] ((juxt :server-name :remote-addr) (raw/await-value seen))))))
            (testing "the file goes with the server"
              (is (not (.exists file))))))
        (testing "beside a port"
          (running/with-server [server handler {:unix-socket file}]
            (is (= "hello" (:body (running/fetch server "GET" "/"))))
            (is (re-find #"hello$" (fetch)))
            (.stop server)
            (is (thrown? ConnectException (raw/connect (.getPort server)))))))
      (is (= [UnsupportedOperationException ":unix-socket needs Java 16 or newer"]
             (running/thrown-message #(running/start handler {:unix-socket file})))))))

(deftest executors
  (let [used (atom 0)
        threads (Executors/newCachedThreadPool)
        executor (reify Executor (execute [_ task] (swap! used inc) (.execute threads task)))]
    (try
      (let [server (running/start hello {:thread-pool executor})]
        (is (= ["hello" "hello"] (repeatedly 2 #(:body (running/fetch server "GET" "/")))))
        (is (= 2 @used))
        (.stop server)
        (testing "the server does not own it"
          (is (not (.isShutdown threads))))
        (is (= [IllegalStateException "The :thread-pool was shut down when the server stopped: start another server"]
               (running/thrown-message #(.start server)))))
      (finally (.shutdownNow threads))))
  (testing "an ExecutorService ends with the server"
    (let [pool (Executors/newFixedThreadPool 1)]
      (running/with-server [server hello {:thread-pool pool}]
        (is (= "hello" (:body (running/fetch server "GET" "/")))))
      (is (.isShutdown pool)))))

(deftest max-threads
  (let [both (CountDownLatch. 2)
        running (atom 0)
        most (atom 0)
        release (promise)
        handler (fn [_]
                  (swap! most max (swap! running inc))
                  (.countDown both)
                  (raw/await-value release)
                  (swap! running dec)
                  {:status 200})]
    (running/with-server [server handler {:max-threads 2 :min-threads 1 :max-queued-requests 100}]
      (let [answers (doall (repeatedly 4 #(future (:status (running/fetch server "GET" "/")))))]
        (is (raw/await-latch both))
        (deliver release true)
        (is (= [200 200 200 200] (map deref answers)))
        (is (= 2 @most))))))

(deftest daemons
  (let [loops (fn [] (filter #(= "server-loop" (.getName ^Thread %)) (keys (Thread/getAllStackTraces))))]
    (doseq [daemon? [true false]]
      (let [before (set (loops))]
        (running/with-server [server hello {:daemon? daemon?}]
          (is (= [daemon?] (map #(.isDaemon ^Thread %) (remove before (loops))))))))))
