(ns immutant.web.response-test
  "Ordinary responses of handlers that immutant.web runs."
  (:require [clojure.test :refer [are deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [immutant.web.middleware :as middleware]
            [immutant.web.serving :as serving])
  (:import (java.io ByteArrayInputStream IOException InputStream)
           (java.lang.ref WeakReference)))

(use-fixtures :each temporary/cleanup)

(defn- fetch-response
  "Returns the response the client gets for a handler's; `run` are options of immutant.web/run."
  [response & {:keys [method run]}]
  (serving/with-run [port (constantly response) (merge (serving/quiet) run)]
    (raw/fetch port (or method "GET") "/")))

(defn- latin1 [{:keys [^bytes bytes]}]
  (String. bytes "ISO-8859-1"))

(defn- failing-stream
  "Returns a stream that fails after so many bytes, and delivers `closed` when it is closed."
  ([size] (failing-stream size (promise)))
  ([size closed]
   (let [left (atom size)
         take-some (fn [length]
                     (let [count (min (long length) (long @left))]
                       (when (zero? count)
                         (throw (Exception. "BOOM")))
                       (swap! left - count)
                       count))]
     (proxy [InputStream] []
       (read
         ([bytes] (take-some (alength ^bytes bytes)))
         ([_ _ length] (take-some length)))
       (close [] (deliver closed true))))))

(deftest bodies
  (let [file (temporary/file "file")]
    (testing "nil, String, File, InputStream, and byte[] as a superset"
      (are [expected body] (= expected (:body (fetch-response {:status 200 :body body})))
        "" nil
        "h\u00e9" "h\u00e9"
        "file" file
        "stream" (ByteArrayInputStream. (.getBytes "stream"))
        "bytes" (.getBytes "bytes")))
    (testing "sequences: each element by the same rules, nested ones too"
      (are [expected body] (= expected (:body (fetch-response {:status 200 :body body})))
        "abcfile" (seq ["a" "b" "c" file])
        "" ()
        "" (list nil "" ())
        "astreambytesbc" (list "a" (ByteArrayInputStream. (.getBytes "stream")) (list (.getBytes "bytes") (list "b")) nil "c")
        (apply str (range 20000)) (map str (range 20000))))
    (testing "an element of another type is a 500"
      (are [element] (= 500 (:status (fetch-response {:status 200 :body (list "a" element)})))
        5 [] :a))
    (testing "a nil response is a 500"
      (is (= 500 (:status (fetch-response nil)))))
    (testing "the elements of a sequence are not kept, nor computed for HEAD beyond the first buffer"
      (let [made (atom 0)
            elements (repeatedly #(do (swap! made inc) (apply str (repeat 1000 "x"))))]
        (is (= 200 (:status (fetch-response {:status 200 :body elements} :method "HEAD"))))
        (is (< @made 1000))))))

(deftest a-sequence-is-not-held
  (let [told (promise)
        piece (apply str (repeat 10000 "x"))]
    (doseq [options [{} {:write-error-handler (fn [_ _ response] (deliver told response))}]]
      (let [first-element (promise)
            elements #(let [element (String. "first")]
                        (deliver first-element (WeakReference. element))
                        (cons element (repeatedly (fn [] (str piece)))))]
        (serving/with-run [port (fn [_] (assoc options :status 201 :body (elements))) (serving/quiet)]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (.readNBytes ^InputStream (:in connection) 3000000)
            (is (raw/await-true #(do (System/gc) (nil? (.get ^WeakReference @first-element))))
                "the first element is garbage while the others are sent")))))
    (is (= #{:status :write-error-handler} (set (keys (raw/await-value told)))))))

(deftest proxied-streams
  (testing "with the two arities of read that Immutant's way to copy them needs"
    (doseq [size [0 10 100000]
            :let [text (apply str (take size (cycle "0123456789")))
                  stream #(let [source (ByteArrayInputStream. (.getBytes ^String text))]
                            (proxy [InputStream] []
                              (read
                                ([] (.read source))
                                ([bytes] (.read source ^bytes bytes)))))
                  body (fn [response]
                         (:body (fetch-response (assoc response :status 200))))
                  handler (fn [_ _ _])]]
      (is (= text (body {:body (stream) :write-error-handler handler})))
      (is (= (str "<" text text ">") (body {:body (list "<" (stream) (list (stream)) ">")})))
      (is (= (str text "!") (body {:body (list (stream) "!") :write-error-handler handler}))))))

(deftest lengths-in-answers-to-head
  (testing "the handler's own stays: middleware empties the body and leaves its Content-Length"
    (let [length (fn [response run]
                   (get-in (fetch-response response :method "HEAD" :run run) [:headers "content-length"]))
          emptied {:status 200 :headers {"Content-Length" "14"} :body nil}]
      (is (= "14" (length emptied {})))
      (is (= "5" (length {:status 200 :body "hello"} {})))
      (is (= "0" (length emptied {:server-options {:legacy-content-length? true}}))))))

(deftest charsets
  (testing "that of the Content-Type"
    (doseq [charset ["UTF-8" "Shift_JIS" "ISO-8859-1" "UTF-16" "US-ASCII"]
            body ["\u3042\u00e9" (list "\u3042\u00e9")]]
      (is (= (seq (.getBytes "\u3042\u00e9" ^String charset))
             (seq (:bytes (fetch-response {:status 200 :headers {"Content-Type" (str "text/plain; charset=" charset)} :body body})))))))
  (testing "else UTF-8, or what run was told"
    (are [expected body run] (= expected (latin1 (fetch-response {:status 200 :body body} :run run)))
      "\u00c3\u00a9" "\u00e9" {}
      "\u00c3\u00a9" (list "\u00e9") {}
      "\u00e9" "\u00e9" {:default-charset "ISO-8859-1"}
      "\u00e9" (list "\u00e9") {:default-charset "ISO-8859-1"})))

(deftest write-errors
  (let [told (atom [])
        handler (fn [exception request response]
                  (swap! told conj [(ex-message exception) (:path-info request) (:status response)]))
        told-for (fn [response & options]
                   (reset! told [])
                   (let [{:keys [status]} (try (apply fetch-response response options) (catch Exception _ {:status :cut}))]
                     [status @told]))]
    (testing "a body that cannot be read: 500, the handler gets exception, request and response"
      (are [body] (= [500 [["BOOM" "/" 200]]] (told-for {:status 200 :body body :write-error-handler handler}))
        (failing-stream 0)
        (lazy-seq (throw (Exception. "BOOM")))
        (list "a" (failing-stream 10))))
    (testing "what cannot be written at all"
      (is (= [500 ["Can't coerce body of type class java.lang.Long"]]
             (update (told-for {:status 200 :body (list 5) :write-error-handler handler}) 1 #(map first %))))
      (is (= [500 1] (update (told-for {:status 200 :body (java.io.File. "no/such") :write-error-handler handler}) 1 count))))
    (testing "a body that has begun is cut"
      (is (= [:cut [["BOOM" "/" 201]]] (told-for {:status 201 :body (failing-stream 1000000) :write-error-handler handler}))))
    (testing "nothing is told of a body that was written, or that is not wanted"
      (is (= [200 []] (told-for {:status 200 :body (ByteArrayInputStream. (byte-array 1000000)) :write-error-handler handler})))
      (is (= [200 []] (told-for {:status 200 :body (ByteArrayInputStream. (byte-array 9)) :write-error-handler handler}
                                :method "HEAD")))
      (are [status] (= [status []] (told-for {:status status
                                              :body (ByteArrayInputStream. (byte-array 9))
                                              :write-error-handler handler}))
        204 205 304)
      (is (= [204 []] (told-for {:status 204 :body (java.io.File. "no/such") :write-error-handler handler}))))
    (testing "what the handler throws takes the place of neither the exception nor the close"
      (doseq [size [10 1000000000]]
        (let [closed (promise)
              log (atom [])]
          (serving/with-run [port (constantly {:status 200
                                               :body (failing-stream size closed)
                                               :write-error-handler (fn [_ _ _] (throw (RuntimeException. "handler")))})
                             (serving/quiet log)]
            (raw/with-connection [connection port :receive-buffer 8192]
              (raw/write connection (raw/request "GET" "/"))
              (raw/read-head connection))
            (is (true? (raw/await-value closed))))
          (when (= 10 size)
            (is (= ["BOOM" ["handler"]] (let [^Throwable e (second (first @log))]
                                          [(ex-message e) (map ex-message (.getSuppressed e))])))))))
    (testing "a client that leaves"
      (let [closed (promise)
            message (promise)]
        (serving/with-run [port (constantly {:status 200
                                             :body (failing-stream 1000000000 closed)
                                             :write-error-handler (fn [e _ _] (deliver message [(class e) (ex-message e)]))})]
          (raw/with-connection [connection port :receive-buffer 8192]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-head connection))
          (is (= [IOException "The client has gone before the body was written"] (raw/await-value message)))
          (is (true? (raw/await-value closed))))))
    (testing "from middleware; the response's own comes first; asynchronous handlers, too"
      (let [other (fn [_ _ _] (swap! told conj :other))
            told-by (fn [response]
                      (reset! told [])
                      (serving/with-run [port (middleware/wrap-write-error-handling (constantly response) other) (serving/quiet)]
                        (is (= 500 (:status (raw/fetch port "GET" "/"))))
                        @told))]
        (is (= [:other] (told-by {:status 200 :body (failing-stream 0)})))
        (is (= [["BOOM" "/" 200]] (told-by {:status 200 :body (failing-stream 0) :write-error-handler handler})))
        (is (= [] (told-by nil)))
        (let [wrapped (middleware/wrap-write-error-handling (fn [_ respond _] (respond {:status 200})) other)
              response (promise)]
          (wrapped {} #(deliver response %) identity)
          (is (= {:status 200 :write-error-handler other} @response)))))))
