(ns org.httpkit.server-async-test
  "Handlers of three arguments: the first completion counts."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server]))

(defn- answer
  "Returns [status body] of a request to a server with this asynchronous handler, one for each way of dispatch."
  [handler & {:as options}]
  (for [dispatch raw/dispatches]
    (raw/with-server [port handler (merge (raw/quiet) {:ring-async? true :dispatch dispatch} options)]
      ((juxt :status :body) (raw/fetch port "GET" "/")))))

(defmacro ^:private is-answered [expected handler & options]
  `(is (= #{~expected} (set (answer ~handler ~@options)))))

(deftest completions
  (is-answered [201 "now"] (fn [_ respond _] (respond {:status 201 :body "now"})))
  (is-answered [200 "later"] (fn [_ respond _] (future (respond {:body "later"}))))
  (is-answered [404 ""] (fn [_ respond _] (respond nil)))
  (is-answered [500 "Internal Server Error"] (fn [_ _ raise] (raise (ex-info "x" {}))))
  (is-answered [500 "x"] (fn [_ _ raise] (future (raise (ex-info "x" {})))) :expose-errors? true)
  (is-answered [500 "Ring async raise value must be a Throwable"] (fn [_ _ raise] (raise :no)) :expose-errors? true)
  (is-answered [500 "x"] (fn [_ _ _] (throw (ex-info "x" {}))) :expose-errors? true)
  (is-answered [500 "Internal Server Error"] (fn [_ respond _] (respond "no map")))
  (is-answered [200 "channel"] (fn [request respond _]
                                 (respond {:body (:async-channel request)})
                                 (future (server/send! (:async-channel request) "channel")))))

(deftest the-first-completion-counts
  (doseq [[expected handler] {"first" (fn [_ respond raise]
                                        (respond {:body "first"}) (respond {:body "second"}) (raise (Exception.)))
                              "thrown" (fn [_ respond _]
                                         (respond {:body "thrown"}) (throw (Exception.)))
                              "returned" (fn [_ respond _]
                                           (respond {:body "returned"}) {:body "ignored"})}]
    (testing expected
      (let [log (atom [])]
        (raw/with-servers [port handler (assoc (raw/quiet log) :ring-async? true)]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/") (raw/request "GET" "/"))
            (is (= [expected expected] (repeatedly 2 #(:body (raw/read-response connection)))))))
        (is (= [] @log))))))

(deftest callbacks-are-functions
  (testing "for middleware that checks what it is given"
    (is-answered [200 "[true true]"] (fn [_ respond raise] (respond {:body (pr-str (mapv fn? [respond raise]))})))))

(deftest callbacks-return-nil
  (let [results (promise)]
    (raw/with-server [port (fn [_ respond raise]
                             (deliver results [(respond {}) (respond {}) (raise (Exception.))]))
                      {:ring-async? true}]
      (raw/fetch port "GET" "/")
      (is (= [nil nil nil] (raw/await-value results))))))

(deftest pipelined-requests-wait-for-their-turn
  (let [both (promise)]
    (raw/with-servers [port (fn [request respond _]
                              (if (= "/slow" (:uri request))
                                (future (raw/await-value both) (respond {:body "slow"}))
                                (respond {:body (:uri request)})))
                       {:ring-async? true}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/a") (raw/request "GET" "/slow") (raw/request "GET" "/b"))
        (is (= "/a" (:body (raw/read-response connection))))
        (deliver both true)
        (is (= ["slow" "/b"] (repeatedly 2 #(:body (raw/read-response connection)))))))))
