(ns org.httpkit.ring-async-test
  "Every trap of Ring's asynchronous handlers, through both entries (Ring's SPEC, section 2)."
  (:require [ring.doubles])
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [ring.websockets :as websockets])
  (:import (java.io ByteArrayInputStream InputStream IOException)
           (java.util.concurrent CountDownLatch)))

(defn- on-servers
  "Calls `f` with the port and the log, an atom of [message exception], of a server of each entry and way of dispatch. Returns the
  set of the results."
  [handler f]
  (set (for [[entry start] websockets/entries, dispatch raw/dispatches]
         (let [log (atom [])
               [port stop] (start handler (assoc (raw/quiet log) :ring-async? true :dispatch dispatch))]
           (testing [entry dispatch]
             (try (f port log) (finally (stop))))))))

(defn- answers
  "Returns [status body] of two requests on one connection, and the messages in the log."
  [port log]
  (raw/with-connection [connection port]
    (raw/write connection (raw/request "GET" "/a") (raw/request "GET" "/b"))
    (let [responses (doall (repeatedly 2 #((juxt :status :body) (raw/read-response connection))))]
      [responses (map (juxt first (comp ex-message second)) @log)])))

(deftest respond-twice
  (is (= #{[[[200 "/a"] [200 "/b"]] []]}
         (on-servers (fn [request respond _]
                       (respond {:status 200 :headers {} :body (:uri request)})
                       (respond {:status 201 :headers {} :body "again"}))
                     answers))))

(defn- stream
  "Returns a stream that notes its close in the atom."
  [text closed]
  (proxy [ByteArrayInputStream] [(.getBytes ^String text)]
    (close [] (swap! closed conj text))))

(deftest streams-of-responses-that-are-ignored
  (testing "are closed"
    (let [closed (atom [])]
      (is (= #{[[[200 "/a"] [200 "/b"]] []]}
             (on-servers (fn [request respond _]
                           (respond {:status 200 :headers {} :body (:uri request)})
                           (respond {:status 201 :headers {} :body (stream (:uri request) closed)}))
                         answers)))
      (is (raw/await-true #(= #{"/a" "/b"} (set @closed))))))
  (testing "after an error, too; a failure to close is a warning"
    (let [fails (fn [] (proxy [ByteArrayInputStream] [(byte-array 0)]
                         (close [] (throw (IOException. "BOOM")))))]
      (is (= #{["BOOM" "BOOM" "first" "first"]}
             (on-servers (fn [_ respond raise]
                           (raise (ex-info "first" {}))
                           (respond {:status 200 :headers {} :body (fails)}))
                         (fn [port log]
                           (answers port log)
                           (raw/await-true #(= 4 (count @log)))
                           (sort (map (comp ex-message second) @log))))))))
  (testing "unless it is the one that is being sent"
    (let [body (apply str (repeat 100000 "x"))]
      (is (= #{[[200 body] [200 body]]}
             (on-servers (fn [_ respond _]
                           (let [closed? (atom false)
                                 in (ByteArrayInputStream. (.getBytes body))
                                 response {:status 200
                                           :headers {}
                                           :body (proxy [InputStream] []
                                                   (read [bytes offset length]
                                                     (if @closed?
                                                       (throw (IOException. "closed"))
                                                       (.read in ^bytes bytes (int offset) (int length))))
                                                   (close [] (reset! closed? true)))}]
                             (respond response)
                             (respond response)))
                         (comp first answers)))))))

(deftest raise-after-respond
  (is (= #{[[[200 "/a"] [200 "/b"]] []]}
         (on-servers (fn [request respond raise]
                       (respond {:status 200 :headers {} :body (:uri request)})
                       (raise (ex-info "too late" {})))
                     answers))))

(deftest throw-after-respond
  (is (= #{[[[200 "/a"] [200 "/b"]] []]}
         (on-servers (fn [request respond _]
                       (respond {:status 200 :headers {} :body (:uri request)})
                       (throw (ex-info "too late" {})))
                     answers))))

(deftest respond-after-raise
  (is (= #{[[[500 "Internal Server Error"] [500 "Internal Server Error"]] [["GET /a" "first"] ["GET /b" "first"]]]}
         (on-servers (fn [_ respond raise]
                       (raise (ex-info "first" {}))
                       (respond {:status 200 :headers {} :body "too late"}))
                     answers))))

(deftest throw-without-respond
  (is (= #{[[[500 "Internal Server Error"] [500 "Internal Server Error"]] [["GET /a" "thrown"] ["GET /b" "thrown"]]]}
         (on-servers (fn [_ _ _] (throw (ex-info "thrown" {}))) answers))))

(deftest the-returned-value-is-ignored
  (is (= #{[[[200 "/a"] [200 "/b"]] []]}
         (on-servers (fn [request respond _]
                       (respond {:status 200 :headers {} :body (:uri request)})
                       {:status 500 :body "no response"})
                     answers))))

(deftest respond-from-another-thread
  (is (= #{[[[200 "/a"] [200 "/b"]] []]}
         (on-servers (fn [request respond _]
                       (future (respond {:status 200 :headers {} :body (:uri request)})))
                     answers)))
  (testing "raise as well"
    (is (= #{[[[500 "Internal Server Error"] [500 "Internal Server Error"]] [["GET /a" "raised"] ["GET /b" "raised"]]]}
           (on-servers (fn [_ _ raise] (future (raise (ex-info "raised" {})))) answers))))
  (testing "many at once complete the request once"
    (is (= #{[[[200 "x"] [200 "x"]] []]}
           (on-servers (fn [_ respond _]
                         (dotimes [_ 8]
                           (future (respond {:status 200 :headers {} :body "x"}))))
                       answers)))))

(deftest nil-response
  (testing "is http-kit's 404 under run-server, an error under the adapter"
    (is (= #{[[[404 ""] [404 ""]] []]
             [[[500 "Internal Server Error"] [500 "Internal Server Error"]]
              [["GET /a" "Response map is nil"] ["GET /b" "Response map is nil"]]]}
           (on-servers (fn [_ respond _] (respond nil)) answers)))))

(deftest a-response-that-cannot-be-sent
  (testing "the caller of respond is not told: the client is answered 500, and the log has it"
    (let [returned (atom #{})]
      (is (= #{[[500 500] ["GET /a" "GET /b"]]}
             (on-servers (fn [_ respond _] (swap! returned conj (respond {:status "no status"})))
                         (fn [port log]
                           (let [[responses messages] (answers port log)]
                             [(map first responses) (map first messages)])))))
      (is (= #{nil} @returned)))))

(deftest respond-after-the-client-has-left
  (testing "is a call without effect"
    (doseq [[entry start] websockets/entries]
      (testing entry
        (let [entered (CountDownLatch. 1)
              left (promise)
              returned (promise)
              log (atom [])
              [port stop] (start (fn [request respond raise]
                                   (if (= "/leave" (:uri request))
                                     (do (.countDown entered)
                                         (future
                                           (raw/await-value left)
                                           (deliver returned [(respond {:status 200 :headers {} :body "nobody"})
                                                              (raise (Exception.))])))
                                     (respond {:status 200 :headers {} :body "served"})))
                                 (assoc (raw/quiet log) :ring-async? true))]
          (try
            (raw/with-connection [connection port]
              (raw/write connection (raw/request "GET" "/leave"))
              (is (raw/await-latch entered)))
            (is (= "served" (:body (raw/fetch port "GET" "/"))))
            (deliver left true)
            (is (= [nil nil] (raw/await-value returned)))
            (is (= "served" (:body (raw/fetch port "GET" "/"))))
            (is (= [] @log))
            (finally (stop))))))))

(deftest one-function-of-both-kinds
  (let [handler (websockets/handler (fn [request] {:status 200 :headers {} :body (:uri request)}))]
    (doseq [start (vals websockets/entries), async? [false true]]
      (let [[port stop] (start handler {:ring-async? async?})]
        (try
          (is (= "/x" (:body (raw/fetch port "GET" "/x"))))
          (finally (stop)))))))
