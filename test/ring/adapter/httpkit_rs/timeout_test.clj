(ns ring.adapter.httpkit-rs.timeout-test
  "Asynchronous handlers that take too long: :async-timeout."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [ring.adapter.running :as running])
  (:import (java.util.concurrent TimeoutException)))

(defn- never [_ _ _])

(defn- answer
  "Returns [status body] of a request to a server with this asynchronous handler, for each way of dispatch."
  [handler & {:as options}]
  (set (for [dispatch raw/dispatches]
         (running/with-server [server handler (merge (raw/quiet) {:async? true :async-timeout 20 :dispatch dispatch} options)]
           ((juxt :status :body) (running/fetch server "GET" "/slow"))))))

(deftest without-a-handler
  (let [log (atom [])]
    (is (= #{[500 "Internal Server Error"]} (answer never :error-logger (fn [message e] (swap! log conj [message e])))))
    (testing "it is in the log once for each request"
      (is (= 3 (count @log)))
      (let [[message e] (first @log)]
        (is (= "GET /slow" message))
        (is (instance? TimeoutException e))
        (is (= "The handler has not responded within :async-timeout, 20 ms" (ex-message e)))))))

(deftest with-a-handler
  (is (= #{[503 "/slow"]}
         (answer never :async-timeout-handler (fn [request respond _]
                                                (respond {:status 503 :headers {} :body (:uri request)})))))
  (testing "that raises, throws, or blocks and answers from another thread"
    (is (= #{[500 "Internal Server Error"]}
           (answer never :async-timeout-handler (fn [_ _ raise] (raise (ex-info "late" {}))))
           (answer never :async-timeout-handler (fn [_ _ _] (throw (ex-info "late" {}))))))
    (is (= #{[503 "later"]}
           (answer never :async-timeout-handler (fn [_ respond _] @(future (respond {:status 503 :body "later"}))))))))

(deftest in-time
  (testing "the limit does not touch a handler that responds, raises or throws"
    (is (= #{[200 "now"]} (answer (fn [_ respond _] (respond {:status 200 :body "now"})) :async-timeout 60000)))
    (is (= #{[200 "later"]} (answer (fn [_ respond _] (future (respond {:status 200 :body "later"}))) :async-timeout 60000)))
    (is (= #{[500 "Internal Server Error"]}
           (answer (fn [_ _ raise] (raise (Exception.))) :async-timeout 60000)
           (answer (fn [_ _ _] (throw (Exception.))) :async-timeout 60000))))
  (testing "the first completion counts: a response after the time is up is ignored"
    (let [release (promise)
          returned (promise)
          log (atom [])]
      (running/with-server [server (fn [_ respond raise]
                                     (future
                                       (raw/await-value release)
                                       (deliver returned [(respond {:status 200 :body "late"}) (raise (Exception.))])))
                            (merge (raw/quiet log) {:async? true :async-timeout 20
                                                    :async-timeout-handler (fn [_ respond _] (respond {:status 503}))})]
        (raw/with-connection [connection (.getPort server)]
          (raw/write connection (raw/request "GET" "/"))
          (is (= 503 (:status (raw/read-response connection))))
          (deliver release true)
          (is (= [nil nil] (raw/await-value returned)))
          (testing "it does not reach the next request either"
            (raw/write connection (raw/request "GET" "/"))
            (is (= [200 "late"] ((juxt :status :body) (raw/read-response connection))))))
        (is (= [] @log))))))

(deftest threads
  (testing "end with the server"
    (let [mine (fn [] (filter #(.startsWith (.getName ^Thread %) "httpkit-rs-async-timeout-")
                              (keys (Thread/getAllStackTraces))))
          before (set (mine))
          after (atom nil)]
      (running/with-server [server never (merge (raw/quiet) {:async? true :async-timeout 20})]
        (running/fetch server "GET" "/")
        (reset! after (remove before (mine)))
        (is (seq @after)))
      (doseq [^Thread thread @after]
        (.join thread raw/patience-millis)
        (is (not (.isAlive thread)))))))
