(ns org.httpkit.server-stream-body-test
  ":stream-body?: handlers that read large bodies while they arrive."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.io IOException InputStream InterruptedIOException OutputStream)
           (java.security MessageDigest)
           (java.util Arrays Random)
           (java.util.concurrent CountDownLatch Semaphore)
           (org.httpkit BytesInputStream)
           (org.httpkit.server StreamedBody)))

(set! *warn-on-reflection* true)

(defn- random-bytes ^bytes [length]
  (let [bytes (byte-array length)]
    (.nextBytes (Random. (long length)) bytes)
    bytes))

(defn- post [uri & {:as headers}]
  (raw/request "POST" uri :headers headers))

(defn- send-bytes [{:keys [^OutputStream out]} ^bytes bytes from to]
  (.write out bytes (int from) (int (- (long to) (long from))))
  (.flush out))

(defn- send-chunked [connection ^bytes bytes]
  (doseq [from (range 0 (alength bytes) 9999)]
    (let [to (min (alength bytes) (+ (long from) 9999))]
      (raw/write connection (Integer/toHexString (- to (long from))) "\r\n")
      (send-bytes connection bytes from to)
      (raw/write connection "\r\n")))
  (raw/write connection "0\r\n\r\n"))

(defn- digest [^InputStream body]
  (let [digest (MessageDigest/getInstance "SHA-256")
        buffer (byte-array 5000)]
    (loop []
      (let [length (.read body buffer)]
        (when-not (neg? length)
          (.update digest buffer 0 length)
          (recur))))
    (vec (.digest digest))))

(deftest every-way-to-read
  (let [bytes (random-bytes 700000)
        wanted (digest (io/input-stream bytes))]
    (doseq [[what digest-of] {"in pieces" digest
                              "byte by byte" (fn [^InputStream body]
                                               (let [all (byte-array 700000)]
                                                 (dotimes [n 700000]
                                                   (aset all n (unchecked-byte (.read body))))
                                                 (is (= -1 (.read body) (.read body (byte-array 1))))
                                                 (digest (io/input-stream all))))
                              "whole" #(digest (io/input-stream (.readAllBytes ^InputStream %)))
                              "parts skipped" (fn [^InputStream body]
                                                (let [start (.readNBytes body 300000)]
                                                  (.mark body 10)
                                                  (is (not (.markSupported body)))
                                                  (is (= 100000 (loop [left 100000]
                                                                  (if (pos? left) (recur (- left (.skip body left))) 100000))))
                                                  (digest (java.io.SequenceInputStream.
                                                           (io/input-stream start)
                                                           (java.io.SequenceInputStream.
                                                            (io/input-stream (Arrays/copyOfRange bytes 300000 400000))
                                                            body)))))}
            dispatch [:adaptive :pool :in-place]
            ring-async? [false true]]
      (testing [what dispatch ring-async?]
        (let [seen (atom [])
              handle (fn [{:keys [body content-length]}]
                       (swap! seen conj [(class body) content-length])
                       {:body (pr-str (= wanted (digest-of body)))})
              handler (if ring-async?
                        (fn [request respond _] (future (respond (handle request))))
                        handle)]
          (raw/with-server [port handler {:stream-body? true :dispatch dispatch :ring-async? ring-async?}]
            (raw/with-connection [connection port]
              (raw/write connection (post "/" "Content-Length" "700000"))
              (send-bytes connection bytes 0 700000)
              (is (= "true" (:body (raw/read-response connection))))
              (raw/write connection (post "/" "Transfer-Encoding" "chunked"))
              (send-chunked connection bytes)
              (is (= "true" (:body (raw/read-response connection)))))
            (is (= [[StreamedBody 700000] [StreamedBody nil]] @seen))))))))

(deftest short-bodies-are-as-ever
  (let [seen (promise)]
    (raw/with-server [port (fn [{:keys [body] :as request}]
                             (deliver seen [(class body) (:content-length request)])
                             {:body (slurp body)})
                      {:stream-body? true}]
      (raw/with-connection [connection port]
        (raw/write connection (post "/" "Content-Length" "65536") "first")
        (raw/write connection (apply str (repeat 65531 "x")))
        (is (= 65536 (count (:body (raw/read-response connection)))))
        (is (= [BytesInputStream 65536] @seen))))))

(deftest lengths-that-no-integer-holds
  (let [seen (promise)]
    (raw/with-server [port (fn [request] (deliver seen (:content-length request)) {:body "enough"})
                      {:stream-body? true :max-body 6000000000}]
      (raw/with-connection [connection port]
        (raw/write connection (post "/" "Content-Length" "5000000000"))
        (is (= ["enough" "Close"] ((juxt :body #(get-in % [:headers "connection"])) (raw/read-response connection))))
        (is (= 5000000000 @seen)))
      (is (= 413 (:status (raw/fetch port "POST" "/" :headers {"Content-Length" "6000000001"})))))))

(defn- failure
  "Returns the class and message of what reading the rest of the body throws."
  [^InputStream body]
  (try
    (.readAllBytes body)
    (catch Throwable e [(class e) (ex-message e)])))

(def ^:private lost
  [IOException "the request body ends here: the client has gone, it was refused, or the request has been answered"])

(deftest clients-that-fail
  (doseq [[what status leave] [["goes" nil (fn [connection] (raw/disconnect connection))]
                               ["stalls" 408 (fn [_])]
                               ["breaks the framing" 400 #(raw/write % "\r\nX")]
                               ["sends too much" 413 #(raw/write % "fffff\r\n")]]]
    (testing what
      (let [begun (CountDownLatch. 1)
            outcome (promise)
            handler (fn [{:keys [^InputStream body]}]
                      (.read body)
                      (.countDown begun)
                      (deliver outcome (failure body))
                      {:body "late"})]
        (raw/with-stats [port stats handler {:stream-body? true :max-body 100000 :body-timeout 500}]
          (let [connection (raw/connect port)]
            (raw/write connection (post "/" "Transfer-Encoding" "chunked") "5\r\nhello\r\n")
            (raw/await-latch begun)
            (leave connection)
            (is (= lost (raw/await-value outcome)))
            (when status
              (is (= status (:status (raw/read-response connection))))
              (is (raw/ended? connection)))
            (raw/disconnect connection))
          (is (raw/await-true #(zero? (long (:connections (stats)))))))))))

(deftest a-body-outlives-neither-its-answer-nor-its-end
  (let [body (promise)]
    (raw/with-server [port (fn [request] (deliver body (:body request)) {:body "answered"}) {:stream-body? true}]
      (raw/with-connection [connection port]
        (raw/write connection (post "/" "Content-Length" "100000"))
        (is (= "answered" (:body (raw/read-response connection))))
        (is (= lost (failure @body)))
        (.close ^InputStream @body)
        (is (= [IOException "Stream closed"] (failure @body)))
        (is (zero? (.available ^InputStream @body)))))))

(deftest several-threads
  (let [body (promise)
        over (CountDownLatch. 1)
        attempt #(future (try (.read ^InputStream (raw/await-value body)) (catch IOException e (ex-message e))))]
    (raw/with-server [port (fn [request] (deliver body (:body request)) (raw/await-latch over) {:body "answered"})
                      {:stream-body? true}]
      (testing "take turns"
        (raw/with-connection [connection port]
          (raw/write connection (post "/" "Content-Length" "70000"))
          (let [readers (doall (repeatedly 4 attempt))]
            (raw/write connection "abcd")
            (is (= #{97 98 99 100} (set (map raw/await-value readers)))))
          (testing "and are woken by a close"
            (let [waits (attempt)]
              (raw/await-true #(.hasQueuedThreads ^Semaphore
                                                  (.get (doto (.getDeclaredField StreamedBody "news") (.setAccessible true)) @body)))
              (.close ^InputStream @body)
              (is (= "Stream closed" (raw/await-value waits)))))
          (.countDown over)
          (is (= "answered" (:body (raw/read-response connection)))))))))

(deftest reading-is-interrupted-at-a-stop
  (let [reads (CountDownLatch. 1)
        outcome (promise)
        stop (server/run-server (fn [{:keys [body]}]
                                  (.countDown reads)
                                  (deliver outcome (failure body))
                                  {:body "late"})
                                {:port 0 :stream-body? true})]
    (raw/with-connection [connection (:local-port (meta stop))]
      (raw/write connection (post "/" "Content-Length" "100000"))
      (raw/await-latch reads)
      (stop :timeout 100)
      (testing "or told that there is no more, if the connection was cut first"
        (is (contains? #{[InterruptedIOException "interrupted while the request body was read"] lost} (raw/await-value outcome)))))))

(deftest the-client-that-asks-first
  (raw/with-server [port (fn [{:keys [uri body]}]
                           (if (= "/no" uri)
                             {:status 403 :body "no"}
                             {:body (str (alength (.readAllBytes ^InputStream body)))}))
                    {:stream-body? true}]
    (raw/with-connection [connection port]
      (raw/write connection (post "/" "Content-Length" "100000" "Expect" "100-continue"))
      (is (= 100 (:status (raw/read-head connection))))
      (send-bytes connection (byte-array 100000) 0 100000)
      (is (= "100000" (:body (raw/read-response connection)))))
    (raw/with-connection [connection port]
      (raw/write connection (post "/no" "Content-Length" "100000" "Expect" "100-continue"))
      (is (= 403 (:status (raw/read-response connection))))
      (is (raw/ended? connection)))))

(deftest channels-with-streamed-bodies
  (testing "what is sent while the body is read"
    (raw/with-server [port (fn [{:keys [^InputStream body] :as request}]
                             (server/as-channel
                              request
                              {:on-open (fn [channel]
                                          (server/send! channel "begun " false)
                                          (server/send! channel (str (alength (.readAllBytes body))) true))}))
                      {:stream-body? true}]
      (raw/with-connection [connection port]
        (raw/write connection (post "/" "Content-Length" "100000"))
        (is (= "Close" (get-in (raw/read-head connection) [:headers "connection"])))
        (send-bytes connection (byte-array 100000) 0 100000)
        (is (re-find #"(?s)begun .*100000" (raw/read-rest connection))))))
  (testing "on-close of one whose client leaves"
    (let [closed (promise)]
      (raw/with-server [port (fn [{:keys [body] :as request}]
                               (server/as-channel request {:on-open (fn [_] (failure body))
                                                           :on-close (fn [_ status] (deliver closed status))}))
                        {:stream-body? true}]
        (raw/with-connection [connection port]
          (raw/write connection (post "/" "Content-Length" "100000") "some"))
        (is (= :client-close (raw/await-value closed)))))))

(deftest bad-values
  (is (thrown-with-msg? ClassCastException #":stream-body\? must be true, false or nil" (server/run-server identity {:stream-body? 1})))
  (is (thrown? ArithmeticException (server/run-server identity {:max-body 6000000000}))))
