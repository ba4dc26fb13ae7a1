(ns org.httpkit.ring-body-test
  "Ring's StreamableResponseBody through both entries (Ring's SPEC, section 1.5)."
  (:require [ring.doubles])
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [ring.adapter.running :as running]
            [ring.core-protocols :refer [with-extension with-ring-or-skip]]
            [ring.websockets :as websockets])
  (:import (java.io ByteArrayInputStream File IOException InputStream OutputStream)
           (java.lang.ref WeakReference)
           (java.util.concurrent CountDownLatch)))

(deftype Own [f])
(defrecord Letter [text])

(defn- write [^OutputStream stream ^String text]
  (.write stream (.getBytes text "UTF-8")))

(defn- write-own [^Own own response stream]
  ((.f own) response stream))

(defn- answers
  "Returns the set of what `view` sees in the responses of every kind of server to a handler of this body, made by `body` for each
  request."
  [body view & {:as options}]
  (set (for [[entry start] websockets/entries, async? [false true], dispatch raw/dispatches]
         (let [[port stop] (start (websockets/handler (fn [_] {:status 200 :headers {} :body (body)}))
                                  (merge (raw/quiet) {:ring-async? async? :dispatch dispatch} options))]
           (testing [entry (if async? :async :sync) dispatch]
             (try (view (raw/fetch port "GET" "/")) (finally (stop))))))))

(deftest extensions-by-others-win
  (with-ring-or-skip
    (let [file (doto (File/createTempFile "httpkit-rs" ".txt") (.deleteOnExit) (spit "file"))]
      (doseq [[body-class body] {String (constantly "plain")
                                 (Class/forName "[B") #(.getBytes "plain")
                                 InputStream #(ByteArrayInputStream. (.getBytes "plain"))
                                 ;; Nearer than Ring's InputStream.
                                 ByteArrayInputStream #(ByteArrayInputStream. (.getBytes "plain"))
                                 File (constantly file)
                                 clojure.lang.ISeq #(list "plain")
                                 clojure.lang.IPersistentVector (constantly ["plain"])
                                 Letter #(->Letter "plain")
                                 clojure.lang.IPersistentMap (constantly {:text "plain"})
                                 Object #(Object.)}]
        (testing body-class
          (with-extension [body-class (fn [_ response stream]
                                        (write stream (str "extended " (:status response)))
                                        (.close ^OutputStream stream))]
            (is (= #{"extended 200"} (answers body :body)))))))
    (testing "and Ring's own give way to the faster ones, which do the same"
      (is (= #{["plain" "5" nil]}
             (answers (constantly "plain")
                      (juxt :body #(get-in % [:headers "content-length"]) #(get-in % [:headers "transfer-encoding"]))))))))

(deftest the-whole-response-is-shown
  (with-ring-or-skip
    (with-extension [Own write-own]
      (doseq [start (vals websockets/entries)]
        (let [[port stop] (start (fn [_]
                                   {:status 201 :headers {"X" "1"} ::mine 2
                                    :body (Own. (fn [response stream]
                                                  (write stream (pr-str ((juxt :status :headers ::mine) response)))))})
                                 {})]
          (try
            (is (= "[201 {\"X\" \"1\"} 2]" (:body (raw/fetch port "GET" "/"))))
            (finally (stop))))))))

(deftest extensions-while-the-server-runs
  (with-ring-or-skip
    (running/with-server [server (fn [_] {:status 200 :headers {} :body "plain"}) {}]
      (let [fetch #(:body (running/fetch server "GET" "/"))]
        (is (= "plain" (fetch)))
        (with-extension [String (fn [_ _ stream] (write stream "extended") (.close ^OutputStream stream))]
          (is (= "extended" (fetch))))
        (is (= "plain" (fetch)))))))

(deftest writing-later
  (with-ring-or-skip
    (with-extension [Own write-own]
      (testing "an asynchronous handler's body is complete when its stream is closed, by whichever thread"
        (doseq [start (vals websockets/entries), dispatch raw/dispatches]
          (let [returned (promise)
                first-read (promise)
                body (Own. (fn [_ ^OutputStream stream]
                             (future
                               (raw/await-value returned)
                               (write stream "one ")
                               (.flush stream)
                               (raw/await-value first-read)
                               (write stream "two")
                               (.close stream))))
                [port stop] (start (fn [_ respond _] (respond {:status 200 :headers {} :body body}) (deliver returned true))
                                   {:ring-async? true :dispatch dispatch})]
            (try
              (raw/with-connection [connection port]
                (raw/write connection (raw/request "GET" "/"))
                (is (= "chunked" (get-in (raw/read-head connection) [:headers "transfer-encoding"])))
                (is (= "4\r\none " (String. (.readNBytes ^InputStream (:in connection) 7))))
                (deliver first-read true)
                (is (= "\r\n3\r\ntwo\r\n0\r\n\r\n" (String. (.readNBytes ^InputStream (:in connection) 15)))))
              (finally (stop))))))
      (testing "a synchronous handler's when it has been written: what comes later is refused"
        (doseq [start (vals websockets/entries), dispatch raw/dispatches]
          (let [answered (promise)
                refused (promise)
                body #(Own. (fn [_ ^OutputStream stream]
                              (write stream "now")
                              (future
                                (raw/await-value answered)
                                (deliver refused (try (write stream "later") (catch IOException e (ex-message e)))))))
                [port stop] (start (fn [_] {:status 200 :headers {} :body (body)}) {:dispatch dispatch})]
            (try
              (is (= "now" (:body (raw/fetch port "GET" "/"))))
              (deliver answered true)
              (is (= "The stream is closed" (raw/await-value refused)))
              (finally (stop)))))))))

(def ^:private window
  "Of `outbox.rs`: with more that waits for the client a writer has to wait as well."
  262144)

(defn- fill
  "Writes until the window is full, or it seems that the client takes everything. Returns the number of bytes."
  ^long [^OutputStream stream stats]
  (loop [written 0]
    (if (or (< (long window) (long (:bytes-pending (stats)))) (< 30000000 written))
      written
      (do (.write stream (byte-array 60000))
          (.flush stream)
          (recur (+ written 60000))))))

(defn- waits-or-ended? [^Thread thread]
  (contains? #{Thread$State/WAITING Thread$State/TERMINATED} (.getState thread)))

(defn- flushing
  "Has a thread flush the stream; returns the thread once it waits for that."
  ^Thread [^OutputStream stream]
  (let [thread (doto (Thread. #(.flush stream)) (.start))]
    (raw/await-true #(waits-or-ended? thread))
    thread))

(defn- ends? [^Thread thread]
  (.join thread (long raw/patience-millis))
  (not (.isAlive thread)))

(deftest a-close-waits-for-a-slow-client
  (with-ring-or-skip
    (with-extension [Own write-own]
      (doseq [leaves? [false true]]
        (testing (if leaves? "that leaves" "that goes on")
          (let [[figures writer ended flusher] (repeatedly promise)
                body #(Own. (fn [_ ^OutputStream stream]
                              (let [written (fill stream @figures)]
                                (write stream "rest")
                                (deliver flusher (flushing stream))
                                (deliver writer (Thread/currentThread))
                                (deliver ended (try
                                                 (.close stream)
                                                 (+ 4 written)
                                                 (catch IOException e (ex-message e)))))))]
            (raw/with-stats [port stats (fn [_] {:status 200 :body (body)}) (raw/quiet)]
              (deliver figures stats)
              (raw/with-connection [connection port :receive-buffer 4096]
                (raw/write connection (raw/request "GET" "/"))
                (raw/await-value writer)
                (is (raw/await-true #(or (realized? ended) (waits-or-ended? @writer))))
                (when-not leaves?
                  (is (= (alength ^bytes (:bytes (raw/read-response connection))) (raw/await-value ended)))))
              (is (not= :timeout (raw/await-value ended)))
              (is (ends? @flusher) "a flush that waited leaves the rest to the close"))
            (when leaves?
              (is (= "The client has gone" @ended)))))))))

(deftest bytes-that-two-threads-flush-count-once
  (with-ring-or-skip
    (with-extension [Own write-own]
      (let [total 40000000
            log (atom [])
            [figures flushers] (repeatedly promise)
            body #(Own. (fn [_ ^OutputStream stream]
                          (let [written (fill stream @figures)]
                            (write stream "rest")
                            (deliver flushers (vec (repeatedly 2 (fn [] (flushing stream)))))
                            (run! ends? @flushers)
                            (.write stream (byte-array (- (long total) written 4))))))]
        (raw/with-stats [port stats (fn [_] {:status 200 :headers {"Content-Length" (str total)} :body (body)}) (raw/quiet log)]
          (deliver figures stats)
          (raw/with-connection [connection port :receive-buffer 4096]
            (raw/write connection (raw/request "GET" "/"))
            (raw/await-value flushers)
            (is (= total (alength ^bytes (:bytes (raw/read-response connection)))))))
        (is (= [] @log))))))

(deftest a-stream-nobody-writes-is-closed
  (with-ring-or-skip
    (with-extension [ByteArrayInputStream (fn [^InputStream body _ ^OutputStream stream]
                                            (.transferTo body stream)
                                            (.close body))]
      (doseq [method ["GET" "HEAD"]
              [entry start] websockets/entries]
        (testing [method entry]
          (let [closed (promise)
                body #(proxy [ByteArrayInputStream] [(.getBytes "hello")] (close [] (deliver closed true)))
                [port stop] (start (fn [_] {:status 200 :headers {} :body (body)}) {})]
            (try
              (is (= 200 (:status (raw/fetch port method "/"))))
              (is (true? (raw/await-value closed)))
              (finally (stop)))))))))

(deftest a-flush-sends-the-head
  (with-ring-or-skip
    (with-extension [Own write-own]
      (doseq [start (vals websockets/entries), async? [false true]]
        (let [head-read (promise)
              body (Own. (fn [_ ^OutputStream stream]
                           (.flush stream)
                           (raw/await-value head-read)
                           (write stream "late")
                           (.close stream)))
              [port stop] (start (websockets/handler (fn [_] {:status 200 :headers {} :body body})) {:ring-async? async?})]
          (try
            (raw/with-connection [connection port]
              (raw/write connection (raw/request "GET" "/"))
              (is (= "chunked" (get-in (raw/read-head connection) [:headers "transfer-encoding"])))
              (deliver head-read true)
              (is (= "4\r\nlate\r\n0\r\n\r\n" (String. (.readNBytes ^InputStream (:in connection) 14)))))
            (finally (stop))))))))

(deftest errors-while-writing
  (with-ring-or-skip
    (with-extension [Own write-own]
      (testing "before anything was sent: 500"
        (is (= #{500} (answers #(Own. (fn [_ stream] (write stream "x") (throw (IOException. "no")))) :status))))
      (testing "after that the connection is cut, so that nothing incomplete looks complete"
        (doseq [[entry start] websockets/entries, async? [false true], dispatch raw/dispatches]
          (testing [entry async? dispatch]
            (let [log (atom [])
                  body #(Own. (fn [_ ^OutputStream stream] (write stream "x") (.flush stream) (throw (IOException. "no"))))
                  [port stop] (start (websockets/handler (fn [_] {:status 200 :headers {} :body (body)}))
                                     (merge (raw/quiet log) {:ring-async? async? :dispatch dispatch}))]
              (try
                (raw/with-connection [connection port]
                  (raw/write connection (raw/request "GET" "/x"))
                  (is (not (string/ends-with? (raw/read-rest connection) "0\r\n\r\n"))))
                (finally (stop)))
              (is (= [["GET /x" "no"]] (map (juxt first (comp ex-message second)) @log))))))))))

(deftest the-server's-own-texts
  (with-ring-or-skip
    (testing "are not written by the extension that has failed before"
      (let [calls (atom 0)
            seen (atom 0)]
        (with-extension [String (fn [_ _ _] (swap! calls inc) (throw (Exception.)))]
          (is (= #{[500 "Internal Server Error"]}
                 (answers (fn [] (swap! seen inc) "plain") (juxt :status :body)))))
        (is (= @seen @calls))))))

(deftest declared-lengths
  (with-ring-or-skip
    (with-extension [Own write-own]
      (let [own (fn [& pieces]
                  #(Own. (fn [_ ^OutputStream stream] (doseq [piece pieces] (write stream piece) (.flush stream))
                               (.close stream))))
            handler (fn [length body]
                      (websockets/handler (fn [_] {:status 200 :headers {"Content-Length" length} :body (body)})))]
        (doseq [[entry start] websockets/entries, async? [false true]]
          (testing [entry async?]
            (let [[port stop] (start (handler "6" (own "abc" "def")) {:ring-async? async?})]
              (try
                (doseq [method ["GET" "HEAD"]]
                  (is (= "6" (get-in (raw/fetch port method "/") [:headers "content-length"])) method))
                (finally (stop))))
            (testing "that are wrong"
              (doseq [[length sent message] [["7" "abcdef" "Content-Length is 7, but the body has only 6 bytes"]
                                             ["5" "abc" "Content-Length is 5, but the body has more bytes"]]]
                (let [log (atom [])
                      [port stop] (start (handler length (own "abc" "def")) (merge (raw/quiet log) {:ring-async? async?}))]
                  (try
                    (raw/with-connection [connection port]
                      (raw/write connection (raw/request "GET" "/"))
                      (is (= sent (second (string/split (raw/read-rest connection) #"\r\n\r\n")))))
                    (finally (stop)))
                  ;; A stream that its body closes is cut before the body hears why.
                  (is (raw/await-true #(seq @log)))
                  (is (= [message] (map (comp ex-message second) @log))))))))
        (testing "of a sequence"
          (running/with-server [server (handler "4" #(list "ab" "cd")) {}]
            (is (= ["abcd" "4"] ((juxt :body #(get-in % [:headers "content-length"])) (running/fetch server "GET" "/"))))))))))

(deftest a-sequence-is-not-held
  (with-ring-or-skip
    (doseq [async? [false true], dispatch raw/dispatches]
      (testing [async? dispatch]
        (let [first-element (promise)
              piece (apply str (repeat 10000 "x"))
              elements #(let [element (Object.)]
                          (deliver first-element (WeakReference. element))
                          (cons element (repeatedly (fn [] (str piece)))))]
          (running/with-server [server (websockets/handler (fn [_] {:status 200 :headers {} :body (elements)}))
                                (merge (raw/quiet) {:async? async? :dispatch dispatch})]
            (raw/with-connection [connection (.getPort server)]
              (raw/write connection (raw/request "GET" "/"))
              (.readNBytes ^InputStream (:in connection) 3000000)
              (is (raw/await-true #(do (System/gc) (nil? (.get ^WeakReference @first-element))))
                  "the first element is garbage while the others are sent"))))))))

(deftest sequences-under-the-adapter
  (with-ring-or-skip
    (testing "each element is sent before the next is asked for"
      (doseq [async? [false true], dispatch raw/dispatches]
        (let [seen (CountDownLatch. 1)
              body (cons "one" (lazy-seq (raw/await-latch seen) (list "two" 3)))]
          (running/with-server [server (websockets/handler (fn [_] {:status 200 :headers {} :body body}))
                                {:async? async? :dispatch dispatch}]
            (raw/with-connection [connection (.getPort server)]
              (raw/write connection (raw/request "GET" "/"))
              (raw/read-head connection)
              (is (= "3\r\none\r\n" (String. (.readNBytes ^InputStream (:in connection) 8))))
              (.countDown seen)
              (is (= "4\r\ntwo3\r\n0\r\n\r\n" (String. (.readNBytes ^InputStream (:in connection) 14)))))))))
    (testing "those that are there already are gathered"
      (running/with-server [server (fn [_] {:status 200 :headers {} :body (list "a" nil :b 1)}) {}]
        (is (= ["a:b1" "4"] ((juxt :body #(get-in % [:headers "content-length"])) (running/fetch server "GET" "/")))))
      (testing "none for HEAD"
        (running/with-server [server (fn [_] {:status 200 :headers {} :body (lazy-seq (throw (Exception.)))}) (raw/quiet)]
          (is (= 200 (:status (running/fetch server "HEAD" "/")))))))
    (testing "in the encoding of the Content-Type"
      (running/with-server [server (fn [_] {:status 200 :headers {"Content-Type" "text/plain; charset=iso-8859-1"}
                                            :body (list "\u00e4" "b")}) {}]
        (is (= [-28 98] (seq (:bytes (running/fetch server "GET" "/")))))))
    (testing "one that fails cuts the connection"
      (running/with-server [server (fn [_] {:status 200 :headers {} :body (lazy-cat ["one"] (throw (IOException. "no")))})
                            (raw/quiet)]
        (raw/with-connection [connection (.getPort server)]
          (raw/write connection (raw/request "GET" "/"))
          (let [text (raw/read-rest connection)]
            (is (string/includes? text "3\r\none\r\n"))
            (is (not (string/ends-with? text "0\r\n\r\n")))))))))
