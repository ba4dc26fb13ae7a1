(ns integration.streamable-body-test
  "Bodies that write themselves through Ring's own protocol, from Debian's Ring; without it the tests are skipped."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]])
  (:import (clojure.lang Compiler DynamicClassLoader)
           (java.io IOException OutputStream)
           (java.util.concurrent CountDownLatch LinkedBlockingQueue TimeUnit)))

(def ^:private jar (io/file "/usr/share/java/ring-core.jar"))

(defn- with-ring
  "Calls `test` where Ring's protocols can be loaded."
  [test]
  (let [thread (Thread/currentThread)
        before (.getContextClassLoader thread)
        loader (doto (DynamicClassLoader. before) (.addURL (.toURL (.toURI ^java.io.File jar))))]
    (.setContextClassLoader thread loader)
    (try
      (with-bindings {Compiler/LOADER loader}
        (require 'ring.core.protocols)
        (test))
      (finally (.setContextClassLoader thread before)))))

(use-fixtures :each #(if (.exists ^java.io.File jar) (with-ring %) (%)))

(defmacro ^:private with-ring-or-skip [& body]
  `(if (.exists ^java.io.File jar) (do ~@body) (skip "Ring is not installed")))

(defn- body
  "Returns a body that writes itself by `f`, a function of the response and an OutputStream."
  [f]
  ((eval '(fn [f]
            (reify ring.core.protocols/StreamableResponseBody
              (write-body-to-stream [_ response stream] (f response stream)))))
   f))

(defn- write [^OutputStream stream ^String text]
  (.write stream (.getBytes text)))

(deftest bodies-that-write-themselves
  (with-ring-or-skip
    (let [lengths ["content-length" "transfer-encoding"]
          fetch (fn [f & {:keys [method async?]}]
                  (let [responses (atom [])
                        response (fn [] {:status 201 :headers {"X" "1"} :body (body f)})]
                    (raw/with-servers [port (fn ([_] (response)) ([_ respond _] (respond (response))))
                                       (assoc (raw/quiet) :ring-async? async?)]
                      (raw/with-connection [connection port]
                        (dotimes [_ 2]
                          (raw/write connection (raw/request (or method "GET") "/"))
                          (swap! responses conj (raw/read-response connection :head? (= method "HEAD"))))))
                    (is (apply = (map (juxt :status :body #(map (:headers %) lengths)) @responses)))
                    (first @responses)))]
      (testing "short: with a length"
        (let [{:keys [status body headers]} (fetch (fn [response stream]
                                                     (write stream (str (:status response) (get-in response [:headers "X"])))
                                                     (.write ^OutputStream stream (int \!))
                                                     (.close ^OutputStream stream)))]
          (is (= [201 "2011!" ["5" nil]] [status body (map headers lengths)]))))
      (testing "long, or flushed: in pieces"
        (let [{:keys [bytes headers]} (fetch (fn [_ stream]
                                               (dotimes [_ 100] (.write ^OutputStream stream (byte-array 10007)))
                                               (.close ^OutputStream stream)))]
          (is (= [1000700 [nil "chunked"]] [(count bytes) (map headers lengths)])))
        (let [{:keys [body headers]} (fetch (fn [_ ^OutputStream stream]
                                              (.flush stream) (write stream "a") (.flush stream) (write stream "b")
                                              (.close stream) (.close stream)
                                              (is (thrown? IOException (.write stream 1)))))]
          (is (= ["ab" [nil "chunked"]] [body (map headers lengths)]))))
      (testing "from another thread, after an asynchronous handler has returned"
        (is (= "later" (:body (fetch (fn [_ stream] (future (write stream "later") (.close ^OutputStream stream)))
                                     :async? true)))))
      (testing "a synchronous handler's is complete when the body has been written, closed or not"
        (is (= ["open" ["4" nil]] ((juxt :body #(map (:headers %) lengths)) (fetch (fn [_ stream] (write stream "open")))))))
      (testing "not at all for HEAD"
        (is (= 201 (:status (fetch (fn [_ _] (throw (Exception.))) :method "HEAD"))))))))

(deftest bodies-that-fail
  (with-ring-or-skip
    (testing "before anything was sent: 500"
      (raw/with-servers [port (fn [_] {:body (body (fn [_ stream] (write stream "x") (throw (Exception.))))}) (raw/quiet)]
        (is (= 500 (:status (raw/fetch port "GET" "/"))))))
    (testing "after that: the connection is cut"
      (raw/with-servers [port (fn [_] {:body (body (fn [_ ^OutputStream stream]
                                                     (write stream "x") (.flush stream) (throw (Exception.))))})
                         (raw/quiet)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (let [text (raw/read-rest connection)]
            (is (string/starts-with? text "HTTP/1.1 200"))
            (is (not (string/ends-with? text "0\r\n\r\n")))))))))

(deftest events
  (with-ring-or-skip
    (doseq [async? [false true]
            [expected f] {"processed.201" (fn [_ ^OutputStream stream] (write stream "x") (.close stream))
                          "500" (fn [_ stream] (write stream "x") (throw (Exception.)))}
            :let [events (LinkedBlockingQueue.)
                  response (fn [] {:status 201 :body (body f)})]]
      (testing (str "one for each answer, by the status it had: " expected)
        (raw/with-servers [port (fn ([_] (response)) ([_ respond _] (respond (response))))
                           (assoc (raw/quiet) :ring-async? async? :event-logger #(.put events %))]
          (raw/fetch port "GET" "/")
          (is (= (str "httpkit.server.status." expected) (.poll events raw/patience-millis TimeUnit/MILLISECONDS))))
        (is (empty? events))))))

(deftest slow-clients
  (with-ring-or-skip
    (doseq [dispatch raw/dispatches]
      (let [written (atom 0)
            failed (promise)
            entered (CountDownLatch. 1)]
        (raw/with-server [port (fn [_] {:body (body (fn [_ ^OutputStream stream]
                                                      (try
                                                        (dotimes [_ 4096]
                                                          (.write stream (byte-array 16384))
                                                          (swap! written inc)
                                                          (.countDown entered))
                                                        (catch IOException e (deliver failed e) (throw e)))))})
                          (assoc (raw/quiet) :dispatch dispatch)]
          (raw/with-connection [connection port :receive-buffer 8192]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-head connection)
            (is (raw/await-latch entered)))
          (testing "hold the writer back until they go"
            (is (= "The client has gone" (ex-message (raw/await-value failed))))
            (is (< @written 2048))))))))
