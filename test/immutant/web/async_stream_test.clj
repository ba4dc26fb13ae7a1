(ns immutant.web.async-stream-test
  "HTTP streams of immutant.web.async over real connections."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.websocket :as ws]
            [immutant.web :as web]
            [immutant.web.async :as async]
            [immutant.web.serving :as serving]
            [immutant.web.streaming :refer [body-of chunks exchange plain streaming]])
  (:import (java.io ByteArrayInputStream FileNotFoundException InputStream)))

(use-fixtures :each temporary/cleanup)

(def ^:private chunked "Transfer-Encoding: chunked")

(deftest late-binding
  (testing "status and headers of the final response"
    (is (= ["HTTP/1.1 201 Created" ["Ham: biscuit" chunked] "1\r\nx\r\n0\r\n\r\n"]
           (exchange #(do (async/send! % "x") (async/close %)) :response {:status 201 :headers {"Ham" "biscuit"}}))))
  (testing "close without any send"
    (is (= ["HTTP/1.1 201 Created" ["Ham: biscuit" "content-length: 0"] ""]
           (exchange async/close :response {:status 201 :headers {"Ham" "biscuit"}}))))
  (testing "a missing status is 200"
    (is (= "HTTP/1.1 200 OK" (first (exchange async/close :response {:status nil}))))))

(deftest no-type-but-the-response's
  (doseq [headers [nil {} {"Content-Type" nil} {"Set-Cookie" []}]
          :let [answer #(second (exchange % :response {:headers headers}))]]
    (is (= ["content-length: 1"] (answer #(async/send! % "x" :close? true))))
    (is (= [chunked] (answer #(do (async/send! % "x") (async/close %)))))
    (is (= ["content-length: 0"] (answer async/close)))
    (is (= ["content-length: 0"] (answer (fn [_] (throw (Exception. "BOOM"))))))))

(deftest lifecycle
  (testing ":on-open on the handler's thread after it returned; nothing is on the wire yet"
    (let [events (ws/events)
          handler (streaming (fn [ch]
                               (ws/note events [:open (Thread/currentThread) (async/open? ch)])
                               (async/send! ch "x" :close? true)
                               (ws/note events [:sent (async/open? ch)]))
                             :options {:on-close (fn [ch status] (ws/note events [:close status (async/open? ch)]))})]
      (serving/with-run [port (fn [request]
                                (let [response (handler request)]
                                  (ws/note events [:returned (Thread/currentThread) (async/open? (:body response))])
                                  response))]
        (raw/fetch port "GET" "/")
        (let [[[_ thread _] :as all] (repeatedly 4 #(ws/next-event events))]
          (is (= [[:returned thread false] [:open thread true] [:close {:code nil :reason nil} false] [:sent false]]
                 all))))))
  (testing "before :on-open nothing is sent, and no callback is called"
    (let [results (promise)]
      (serving/with-run [port (fn [request]
                                (let [ch (:body (async/as-channel request))
                                      called (atom [])]
                                  (deliver results [(async/send! ch "x" {:on-success #(swap! called conj 1)
                                                                         :on-error (fn [_] (swap! called conj 2))})
                                                    @called])
                                  {:status 200}))]
        (raw/fetch port "GET" "/")
        (is (= [nil []] (raw/await-value results))))))
  (testing "closed before the handler returned: the answer is given when it has"
    (let [closed (promise)]
      (serving/with-run [port (fn [request]
                                (let [response (async/as-channel request
                                                                 :on-open (fn [_] (deliver closed :opened))
                                                                 :on-close (fn [_ _] (deliver closed :closed)))]
                                  (async/close (:body response))
                                  (assoc response :status 204)))]
        (is (= 204 (:status (raw/fetch port "GET" "/"))))
        (is (= :closed (raw/await-value closed)))))))

(deftest messages
  (let [file (temporary/file "file")
        stream #(ByteArrayInputStream. (.getBytes "stream"))]
    (testing "each type, its own chunk"
      (are [body message] (= body (body-of #(do (async/send! % message) (async/close %)) :response plain))
        "0\r\n\r\n" nil
        "0\r\n\r\n" ""
        "3\r\none\r\n0\r\n\r\n" "one"
        "3\r\nh\u00c3\u00a9\r\n0\r\n\r\n" "h\u00e9"
        "2\r\n\u0000\u00ff\r\n0\r\n\r\n" (byte-array [0 -1])))
    (testing "in pieces"
      (are [body message] (= body (body-of #(async/send! % message :close? true) :response plain))
        "4\r\nfile\r\n0\r\n\r\n" file
        "6\r\nstream\r\n0\r\n\r\n" (stream)
        "1\r\na\r\n1\r\nb\r\n0\r\n\r\n" (list "a" "b")
        "1\r\n0\r\n1\r\n1\r\n0\r\n\r\n" (map str (range 2))
        "1\r\na\r\n4\r\nfile\r\n6\r\nstream\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
        (list "a" file (stream) nil (list (list "b") () (byte-array [99])))))
    (testing "an empty sequence is a nil"
      (is (= [["Content-Type: text/plain" "content-length: 0"] ""]
             (rest (exchange #(async/send! % () :close? true) :response plain)))))
    (testing "at most 16384 bytes of a stream a send"
      (is (= [16384 2]
             (map count (chunks (body-of #(async/send! % (ByteArrayInputStream. (byte-array 16386)) :close? true)))))))
    (testing "the stream is closed, also by a send to a closed channel"
      (doseq [before [identity async/close]]
        (let [closed (promise)
              source (proxy [InputStream] []
                       (read ([] -1) ([_] -1) ([_ _ _] -1))
                       (close [] (deliver closed true)))]
          (body-of #(do (before %) (async/send! % source :close? true)))
          (is (true? (raw/await-value closed))))))
    (testing "ten sends, ten chunks"
      (is (= (str (string/join (for [n (range 10)] (str "1\r\n" n "\r\n"))) "0\r\n\r\n")
             (body-of #(do (dotimes [n 10] (async/send! % (str n))) (async/close %)) :response plain))))))

(deftest message-types-refused
  (testing "thrown to the caller, the channel is as it was"
    (doseq [message [[] #{} 5 :a (java.nio.ByteBuffer/allocate 1) {:body []}]]
      (is (= "fine" (body-of (fn [ch]
                               (is (thrown-with-msg? IllegalStateException #"^Can't send message of type "
                                                     (async/send! ch message)))
                               (async/send! ch {:status 201 :body "fine"} :close? true))))
          (pr-str message))))
  (testing "a missing file"
    (is (= "" (body-of (fn [ch]
                         (is (thrown? FileNotFoundException (async/send! ch (java.io.File. "no/such/file"))))
                         (async/close ch)))))))

(deftest maps
  (testing "replace status and headers, not merge; what is missing is the handler's"
    (are [status lines message] (= [status lines "2\r\nhi\r\n0\r\n\r\n"]
                                   (exchange #(do (async/send! % message) (async/send! % nil :close? true))
                                             :response {:status 202 :headers {"A" "1"}}))
      "HTTP/1.1 201 Created" ["B: 2" chunked] {:status 201 :headers {"B" "2"} :body "hi"}
      "HTTP/1.1 201 Created" ["A: 1" chunked] {:status 201 :body "hi"}
      "HTTP/1.1 202 Accepted" ["B: 2" chunked] {:headers {"B" "2"} :body "hi"}
      "HTTP/1.1 202 Accepted" ["A: 1" chunked] {:body (list "hi")}
      "HTTP/1.1 201 Created" ["A: 1" chunked] {:status 201 :body (list nil "hi")}
      "HTTP/1.1 201 Created" ["A: 1" chunked] (list {:status 201 :body "hi"})))
  (testing "not after another send, even one of nothing"
    (doseq [before ["x" nil {:body "x"} (list "x")]]
      (exchange (fn [ch]
                  (async/send! ch before)
                  (is (thrown-with-msg? IllegalArgumentException #"this is not the first send" (async/send! ch {:body "y"})))
                  (async/close ch))))))

(deftest charsets
  (testing "that of the response's Content-Type"
    (are [expected type] (= [[(str "Content-Type: " type) "content-length: 1"] expected]
                            (rest (exchange #(async/send! % "\u00e9" :close? true) :response {:headers {"Content-Type" type}})))
      "\u00e9" "text/plain; charset=ISO-8859-1"
      "\u00e9" "text/plain;charset=\"iso-8859-1\""
      "?" "text/plain; charset=us-ascii"))
  (testing "of the map's; for every later send, too"
    (is (= "1\r\n\u00e9\r\n1\r\n\u00e8\r\n0\r\n\r\n"
           (body-of #(do (async/send! % {:headers {"content-type" "a/b; charset=latin1"} :body "\u00e9"})
                         (async/send! % "\u00e8" :close? true))))))
  (testing "UTF-8 if there is none, or what run was told"
    (are [expected run response] (= expected (rest (exchange #(async/send! % "\u00e9" :close? true) :run run :response response)))
      [["Content-Type: text/plain" "content-length: 2"] "\u00c3\u00a9"] {} plain
      [["content-length: 2"] "\u00c3\u00a9"] {} {}
      [["Content-Type: text/plain" "content-length: 1"] "\u00e9"] {:default-charset "ISO-8859-1"} plain
      [["content-length: 1"] "\u00e9"] {:default-charset "ISO-8859-1"} {}))
  (testing "an unknown one is the caller's error"
    (exchange (fn [ch]
                (is (thrown? java.nio.charset.UnsupportedCharsetException (async/send! ch "x")))
                (async/send! ch {:status 500 :headers {}} :close? true))
              :response {:headers {"Content-Type" "text/plain; charset=none-such"}})))

(deftest closing-sends
  (testing "the first with :close? has a length"
    (are [lines body message] (= [lines body] (rest (exchange #(async/send! % message :close? true) :response {:headers {"A" "1"}})))
      ["A: 1" "content-length: 2"] "hi" "hi"
      ["A: 1" "content-length: 0"] "" nil
      ["A: 1" "content-length: 2"] "hi" (.getBytes "hi")
      ["A: 1" "content-length: 2"] "hi" (list "hi")))
  (testing "a later one ends the chunks"
    (is (= "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
           (body-of #(do (async/send! % "a") (async/send! % "b" :close? true)))))
    (is (= "1\r\na\r\n0\r\n\r\n" (body-of #(do (async/send! % "a") (async/send! % nil :close? true))))))
  (testing "HEAD gets headers only, the first send ends the channel"
    (doseq [message ["whatever" {:status 201 :body "whatever"} (list "a" "b") (ByteArrayInputStream. (byte-array 40000))]]
      (let [closed (promise)
            errors (atom [])
            [status _ body] (exchange #(async/send! % message)
                                      :method "HEAD"
                                      :options {:on-close (fn [_ status] (deliver closed status))
                                                :on-error (fn [_ e] (swap! errors conj e))})]
        (is (= {:code nil :reason nil} (raw/await-value closed)))
        (is (= (if (map? message) "HTTP/1.1 201 Created" "HTTP/1.1 200 OK") status))
        (is (= "" body))
        (is (= [] @errors)))))
  (testing "HTTP/1.0 is delimited by the end of the connection"
    (is (= [["Content-Type: text/plain"] "ab"]
           (rest (exchange #(do (async/send! % "a") (async/send! % "b" :close? true)) :version "1.0" :response plain))))))

(deftest closing-sends-with-a-bad-head
  (testing "the application hears of it, and the client gets a 500 however that is taken"
    (doseq [response [{:headers {"X" "a\nb"}} {:status "zz"} {:headers {"Content-Type" "text/plain; charset=nope"}}]
            with-callback? [false true]]
      (let [failures (ws/events)
            callback #(ws/note failures [(async/open? %1) (instance? Exception %2)])
            on-open (fn [ch]
                      (try
                        (async/send! ch "x" :close? true)
                        (catch Exception e
                          (callback ch e))))
            [status _ body] (exchange on-open :response response :options (when with-callback? {:on-error callback}))]
        (is (= ["HTTP/1.1 500 Internal Server Error" ""] [status body]))
        (is (= [false true] (ws/next-event failures)))
        (is (ws/no-event? failures)))))
  (testing "also of a send that had to wait"
    (let [go (promise)
          failures (ws/events)
          callback #(ws/note failures (class %))
          on-open (fn [ch]
                    (async/send! ch (map (fn [_] @go "x") [1]) :on-error callback)
                    (async/send! ch "y" :close? true :on-error callback)
                    (deliver go true))
          [status _ body] (exchange on-open :response {:headers {"X" "a\nb"}})]
      (is (= ["HTTP/1.1 500 Internal Server Error" ""] [status body]))
      (is (= [IllegalArgumentException IllegalArgumentException] (repeatedly 2 #(ws/next-event failures)))))))

(deftest return-values
  (testing "true or nil"
    (let [results (promise)]
      (exchange (fn [ch]
                  (let [open (mapv #(async/send! ch %) ["x" nil (list "y") (ByteArrayInputStream. (byte-array 3))])
                        close (async/close ch)]
                    (deliver results [open close (async/send! ch "x") (async/send! ch (list "y"))])))
                :options {:on-error (fn [_ _])})
      (is (= [[true true true true] nil nil nil] (raw/await-value results)))))
  (testing "nil on a stream closed before any send"
    (exchange (fn [ch]
                (async/close ch)
                (is (nil? (async/send! ch "x")))
                (is (nil? (async/send! ch {:status 201 :body "x"})))))))

(deftest callbacks-of-sends
  (testing ":on-success once it was sent, also with :close?"
    (doseq [message ["x" nil (.getBytes "x") (list "a" "b") () (ByteArrayInputStream. (byte-array 40000))]
            close? [true false]]
      (let [called (promise)]
        (exchange (fn [ch]
                    (is (true? (async/send! ch message {:close? close?
                                                        :on-success #(deliver called :success)
                                                        :on-error (fn [e] (deliver called e))})))
                    (when-not close?
                      (is (= :success (raw/await-value called)))
                      (async/close ch))))
        (is (= :success (raw/await-value called))))))
  (testing "not on a closed channel"
    (exchange (fn [ch]
                (async/close ch)
                (is (nil? (async/send! ch "x" {:on-success #(is false) :on-error (fn [_] (is false))}))))))
  (testing "what they throw goes to the channel's :on-error"
    (let [error (promise)]
      (exchange #(async/send! % "x" {:close? true :on-success (fn [] (throw (Exception. "BOOM")))})
                :options {:on-error (fn [_ e] (deliver error (ex-message e)))})
      (is (= "BOOM" (raw/await-value error))))
    (let [error (promise)]
      (exchange #(async/send! % (list 5) {:close? true :on-error (fn [_] (throw (Exception. "BOOM")))})
                :options {:on-error (fn [_ e] (deliver error (ex-message e)))})
      (is (= "BOOM" (raw/await-value error)))))
  (testing "they may send, and wait for other senders"
    (is (= "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
           (body-of (fn [ch]
                      (async/send! ch "a" :on-success (fn []
                                                        (async/send! ch "b")
                                                        @(future (async/send! ch "c"))
                                                        (async/close ch))))
                    :response plain))))
  (testing "one that is due within another comes after it"
    (let [order (atom [])]
      (body-of (fn [ch]
                 (async/send! ch "a" :on-success (fn []
                                                   (async/send! ch "b" :on-success (fn []
                                                                                     (swap! order conj :b)
                                                                                     (async/close ch)))
                                                   (swap! order conj :a)))))
      (is (= [:a :b] @order))))
  (testing "each may send the next, as often as it likes"
    (let [messages 50000
          errors (atom [])]
      (is (= (+ (* messages (count "1\r\nx\r\n")) (count "0\r\n\r\n"))
             (count (body-of (fn [ch]
                               (letfn [(send-next [n]
                                         (if (< (long n) messages)
                                           (async/send! ch "x" :on-success #(send-next (inc (long n))))
                                           (async/close ch)))]
                                 (send-next 0)))
                             :response plain
                             :options {:on-error (fn [ch e]
                                                   (swap! errors conj (class e))
                                                   (async/close ch))}))))
      (is (= [] @errors)))))

(deftest closing
  (testing "what was sent before is delivered"
    (is (= (str (string/join (repeat 100 "1\r\nx\r\n")) "0\r\n\r\n")
           (body-of #(do (dotimes [_ 100] (async/send! % "x")) (async/close %)) :response plain))))
  (testing "idempotent; :on-close once, within the call, the channel is closed by then"
    (let [events (ws/events)]
      (exchange (fn [ch]
                  (async/close ch)
                  (ws/note events :returned)
                  (async/close ch)
                  (ws/note events :again))
                :options {:on-close (fn [ch status] (ws/note events [status (async/open? ch)]))})
      (is (= [[{:code nil :reason nil} false] :returned :again] (repeatedly 3 #(ws/next-event events))))))
  (testing "a long send is cut short and told"
    (let [failed (promise)
          begun (promise)]
      (is (= #{"x"}
             (set (chunks
                   (body-of (fn [ch]
                              (async/send! ch "x")
                              (async/send! ch
                                           (repeatedly (fn [] (deliver begun true) "x"))
                                           {:on-error #(deliver failed (ex-message %))})
                              (raw/await-value begun)
                              (async/close ch))
                            :response plain)))))
      (is (= "The channel was closed before the send was complete" (raw/await-value failed)))))
  (testing "what :on-close throws is logged"
    (let [logged (promise)]
      (exchange async/close
                :options {:on-close (fn [_ _] (throw (Exception. "BOOM")))}
                :run {:server-options {:warn-logger (fn [message exception] (deliver logged [message (ex-message exception)]))}})
      (is (= [":on-close of the channel of GET /" "BOOM"] (raw/await-value logged))))))

(deftest failures-of-on-open
  (testing ":on-error, then the end; with 500 if nothing was sent"
    (let [error (promise)
          [status _ body] (exchange (fn [_] (throw (Exception. "BOOM"))) :options {:on-error (fn [_ e] (deliver error (ex-message e)))})]
      (is (= "BOOM" (raw/await-value error)))
      (is (= ["HTTP/1.1 500 Internal Server Error" ""] [status body]))))
  (testing ":on-error may answer"
    (is (= "HTTP/1.1 503 Service Unavailable"
           (first (exchange (fn [_] (throw (Exception. "BOOM")))
                            :options {:on-error (fn [ch _] (async/send! ch {:status 503} :close? true))})))))
  (testing "after a send it only ends"
    (is (= "1\r\nx\r\n0\r\n\r\n"
           (body-of (fn [ch] (async/send! ch "x") (throw (Exception. "BOOM"))) :options {:on-error (fn [_ _])})))))

(deftest timeouts
  (testing "from the opening, whatever is sent; the stream ends as by close"
    (is (= "1\r\nx\r\n0\r\n\r\n" (body-of #(async/send! % "x") :options {:timeout 300} :response plain))))
  (testing "with the status and headers if nothing was sent"
    (let [closed (promise)]
      (is (= ["HTTP/1.1 202 Accepted" ["A: 1" "content-length: 0"] ""]
             (exchange identity
                       :options {:timeout 1 :on-close (fn [_ status] (deliver closed status))}
                       :response {:status 202 :headers {"A" "1"}})))
      (is (= {:code nil :reason nil} (raw/await-value closed)))))
  (testing "never earlier than asked"
    (let [begun (promise)
          ended (promise)]
      (exchange (fn [_] (deliver begun (System/nanoTime)))
                :options {:timeout 50 :on-close (fn [_ _] (deliver ended (System/nanoTime)))})
      (is (<= 50000000 (- (long (raw/await-value ended)) (long (raw/await-value begun)))))))
  (testing "0 and less are none"
    (doseq [timeout [0 -5]]
      (is (= "x" (body-of #(async/send! % "x" :close? true) :options {:timeout timeout}))))))

(deftest server-stop
  (testing ":on-close also when the server stops"
    (let [opened (promise)
          closed (promise)]
      (serving/with-run [port (streaming #(do (async/send! % "x") (deliver opened true))
                                         :options {:on-close (fn [_ status] (deliver closed status))})]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/await-value opened)
          (web/stop {:host "127.0.0.1" :port port})
          (is (= {:code nil :reason nil} (raw/await-value closed))))))))
