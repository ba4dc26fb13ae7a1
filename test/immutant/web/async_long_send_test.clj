(ns immutant.web.async-long-send-test
  "Files, InputStreams and sequences sent to HTTP streams: what takes a thread of its own, and may be cut short."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.websocket :as ws]
            [immutant.web.async :as async]
            [immutant.web.serving :as serving]
            [immutant.web.streaming :refer [body-of chunks exchange plain streaming]])
  (:import (java.io ByteArrayInputStream InputStream)
           (java.util.concurrent CountDownLatch)))

(use-fixtures :each temporary/cleanup)

(deftest failures-within-a-message
  (testing "stop it, told once, to the send's :on-error, else the channel's"
    (doseq [bad [5 {:body "no map here"} (java.io.File. "no/such/file")]
            own? [true false]]
      (let [told (atom [])
            done (CountDownLatch. 1)
            tell (fn [e] (swap! told conj (class e)) (.countDown done))
            body (body-of (fn [ch]
                            (async/send! ch (list "a" bad "never") (if own? {:on-error tell} {}))
                            (raw/await-latch done)
                            (async/send! ch "b" :close? true))
                          :response plain
                          :options {:on-error (fn [_ e] (tell e))})]
        (is (= "1\r\na\r\n1\r\nb\r\n0\r\n\r\n" body))
        (is (= 1 (count @told))))))
  (testing "a stream that cannot be read; with :close? the channel ends"
    (let [told (promise)]
      (body-of (fn [ch]
                 (async/send! ch (proxy [InputStream] []
                                   (read ([_] (throw (java.io.IOException. "BOOM")))))
                              {:close? true :on-error #(deliver told (ex-message %))})))
      (is (= "BOOM" (raw/await-value told)))))
  (testing "logged without any :on-error"
    (let [logged (promise)]
      (exchange #(async/send! % (list 5) :close? true)
                :run {:server-options {:warn-logger (fn [message exception] (deliver logged [message (class exception)]))}})
      (is (= ["Error of the channel of GET /" IllegalStateException] (raw/await-value logged))))))

(deftest failures-of-the-last-message
  (let [fails (fn [& _] (throw (java.io.IOException. "disk error")))
        answer-to (fn [message read-piece]
                    (let [closes (ws/events)
                          failed (promise)]
                      (serving/with-run [port (streaming #(async/send! % message
                                                                       {:close? true
                                                                        :on-success (fn [] (deliver failed :no))
                                                                        :on-error (fn [e] (deliver failed (ex-message e)))})
                                                         :options {:on-close (fn [ch status]
                                                                               (ws/note closes [status (async/open? ch)]))}
                                                         :response {:status 201})]
                        (raw/with-connection [connection port]
                          (raw/write connection (raw/request "GET" "/" :headers {"Connection" "close"}))
                          (let [{:keys [status headers]} (raw/read-head connection)]
                            (read-piece connection)
                            (is (= "disk error" (raw/await-value failed)))
                            (is (= [{:code nil :reason nil} false] (ws/next-event closes)))
                            (is (ws/no-event? closes))
                            [status (get headers "content-length") (raw/read-rest connection)])))))]
    (testing "a stream that has begun is cut; :on-close is called once"
      (let [piece "1\r\na\r\n"]
        (doseq [make-message [(fn [go] (map #(%) (list (constantly "a") #(do (raw/await-value go) (fails)))))
                              (fn [go] (let [reads (atom 0)]
                                         (proxy [InputStream] []
                                           (read [bytes]
                                             (if (= 1 (swap! reads inc))
                                               (do (aset ^bytes bytes 0 (byte 97)) 1)
                                               (do (raw/await-value go) (fails)))))))]
                :let [go (promise)]]
          (is (= [201 nil ""]
                 (answer-to (make-message go) (fn [{:keys [^InputStream in]}]
                                                (is (= piece (String. (.readNBytes in (count piece)))))
                                                (deliver go true))))))))
    (testing "one of which nothing was sent is a 500"
      (is (= [500 "0"] (take 2 (answer-to (map fails [1]) identity)))))
    (testing "a WebSocket ends with 1011, which both sides hear"
      (let [closes (ws/events)]
        (serving/with-run [port (streaming #(async/send! % (map (fn [f] (f)) (list (constantly "a") fails)) :close? true)
                                           :options {:on-close (fn [_ status] (ws/note closes status))
                                                     :on-error (fn [_ _])})]
          (ws/with-socket [socket port]
            (is (= "a" (ws/read-text socket)))
            (is (= [1011 ""] (ws/read-close socket)))
            (is (= {:code 1011 :reason ""} (ws/next-event closes)))
            (is (ws/no-event? closes))))))))

(deftest ordering
  (testing "nothing gets between the pieces of a message, sends keep their order"
    (let [go (promise)]
      (is (= ["a1" "a2" "b" "c1" "c2" "d" "e"]
             (chunks
              (body-of (fn [ch]
                         (async/send! ch (map (fn [n] @go (str "a" n)) [1 2]))
                         (async/send! ch "b")
                         (async/send! ch (list "c1" "c2"))
                         (async/send! ch "d")
                         (async/send! ch "e" :close? true)
                         (deliver go true))
                       :response plain))))))
  (testing "sends of many threads are all delivered, each thread's in order"
    (let [threads 4
          each 200
          words (-> (body-of (fn [ch]
                               (let [senders (doall (for [thread (range threads)]
                                                      (future (dotimes [n each]
                                                                (if (zero? (mod n 50))
                                                                  (async/send! ch (list (str thread ":") (str n " ")))
                                                                  (async/send! ch (str thread ":" n " ")))))))]
                                 (run! deref senders)
                                 (async/send! ch "end" :close? true)))
                             :response plain)
                    chunks
                    string/join
                    (string/split #" "))
          by-thread (group-by first (map #(string/split % #":") (butlast words)))]
      (is (= "end" (last words)))
      (is (= threads (count by-thread)))
      (doseq [[_ sent] by-thread]
        (is (= (map str (range each)) (map second sent))))))
  (testing "lazy sequences are realised under the caller's bindings"
    (is (= ["7"] (chunks (body-of #(binding [*print-length* 7]
                                     (async/send! % (map (fn [_] (str *print-length*)) [1]) :close? true))))))))

(defn- endless-stream
  "Returns a stream that has nothing to read until it is closed, which delivers the promise."
  [closed]
  (proxy [InputStream] []
    (read [_] @closed -1)
    (close [] (deliver closed true))))

(defn- source
  "Returns a stream that has always something to read, and notes how often it is read and closed in the atom."
  [calls]
  (proxy [InputStream] []
    (read [_] (swap! calls update :read inc) 1)
    (close [] (swap! calls update :closed inc))))

(deftest channels-that-end
  (testing "the channel closes, the send under way fails, its stream is closed"
    (let [channel (promise)
          closed (promise)
          failed (promise)
          source-closed (promise)]
      (serving/with-run [port (streaming (fn [ch]
                                           (async/send! ch "x")
                                           (async/send! ch (endless-stream source-closed)
                                                        {:on-success #(deliver failed :no)
                                                         :on-error #(deliver failed (ex-message %))})
                                           (deliver channel ch))
                                         :options {:on-close (fn [_ status] (deliver closed status))})]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/read-head connection)
          (is (async/open? (raw/await-value channel))))
        (is (= {:code nil :reason nil} (raw/await-value closed)))
        (is (false? (async/open? @channel)))
        (is (nil? (async/send! @channel "x")))
        (is (true? (raw/await-value source-closed)))
        (is (= "The channel was closed before the send was complete" (raw/await-value failed))))))
  (testing "also before the send has begun, and within a sequence"
    (let [failed (promise)
          source-closed (promise)
          begun (promise)
          gone (promise)]
      (serving/with-run [port (streaming (fn [ch]
                                           (async/send! ch "x")
                                           (async/send! ch (map (fn [item] (deliver begun true) (raw/await-value gone) item)
                                                                [(endless-stream source-closed)])
                                                        {:on-error #(deliver failed (class %))}))
                                         :options {:on-close (fn [_ _] (deliver gone true))})]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          ;; A send whose turn comes after the end computes nothing.
          (is (true? (raw/await-value begun))))
        (is (true? (raw/await-value source-closed)))
        (is (= java.io.IOException (raw/await-value failed))))))
  (testing "before the channel is open nobody is told of its end"
    (let [entered (promise)
          gone (promise)
          called (ws/events)]
      (serving/with-run [port (fn [request]
                                (deliver entered true)
                                (raw/await-value gone)
                                (raw/await-client-gone request)
                                (async/as-channel request
                                                  :on-open (fn [_] (ws/note called :open))
                                                  :on-close (fn [_ _] (ws/note called :close))))]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/await-value entered)
          (ws/reset connection))
        (deliver gone true))
      (is (ws/no-event? called))))
  (testing "what waits for its turn when the channel ends is not begun; its stream is closed"
    (let [go (promise)
          failures (ws/events)
          computed (atom 0)
          calls (atom {:read 0 :closed 0})
          failed {:on-error #(ws/note failures (ex-message %))}]
      (body-of (fn [ch]
                 (async/send! ch "x")
                 (async/send! ch (map (fn [item] (raw/await-value go) item) ["a"]) failed)
                 (async/send! ch (map (fn [item] (swap! computed inc) item) ["b"]) failed)
                 (async/send! ch (source calls) failed)
                 (async/close ch)
                 (deliver go true)))
      (is (= (repeat 3 "The channel was closed before the send was complete") (repeatedly 3 #(ws/next-event failures))))
      (is (= [0 {:read 0 :closed 1}] [@computed @calls]))))
  (testing "a lazy sequence stops"
    (let [failed (promise)
          realised (atom 0)]
      (serving/with-run [port (streaming #(async/send! % (repeatedly (fn [] (swap! realised inc) (apply str (repeat 1000 "x"))))
                                                       {:on-success (fn [] (deliver failed :no))
                                                        :on-error (fn [e] (deliver failed (ex-message e)))}))]
        (raw/with-connection [connection port :receive-buffer 8192]
          (raw/write connection (raw/request "GET" "/"))
          (raw/read-head connection))
        (is (= "The channel was closed before the send was complete" (raw/await-value failed)))
        ;; No faster than the client takes them.
        (is (< @realised 20000))))))

(deftest answers-without-a-body
  (doseq [[method status] [["HEAD" 200] ["GET" 204] ["GET" 304]]
          close? [true false]
          :let [outcome-of (fn [message]
                             (let [outcome (promise)
                                   closed (promise)
                                   [line _ body] (exchange #(async/send! % message {:close? close?
                                                                                    :on-success (fn [] (deliver outcome :success))
                                                                                    :on-error (fn [e] (deliver outcome e))})
                                                           :method method
                                                           :response {:status status}
                                                           :options {:on-close (fn [_ _] (deliver closed true))})]
                               (is (string/starts-with? line (str "HTTP/1.1 " status)))
                               (is (= "" body))
                               (is (true? (raw/await-value closed)))
                               (raw/await-value outcome)))
                calls (atom {:read 0 :closed 0})]]
    (testing (str method " " status ", :close? " close? ": the first piece is the last, and the message was sent")
      (testing "a lazy sequence is not realised any more"
        (let [realised (atom 0)]
          (is (= :success (outcome-of (repeatedly (fn [] (swap! realised inc) "x")))))
          (is (= 1 @realised))))
      (testing "a stream is not read any more, but closed, once"
        (is (= :success (outcome-of (source calls))))
        (is (= {:read 1 :closed 1} @calls)))
      (testing "what would have followed is closed"
        (is (= :success (outcome-of (list "a" (list "b" (source calls)) (source calls)))))
        (is (= {:read 1 :closed 3} @calls)))
      (testing "a file"
        (let [file (temporary/file (apply str (repeat 300000 "x")))]
          (dotimes [_ 10]
            (is (= :success (outcome-of file))))))
      (testing "a text that waited behind it counts as sent, too"
        (let [go (promise)
              outcome (promise)]
          (exchange (fn [ch]
                      (async/send! ch (map raw/await-value [go]))
                      (async/send! ch "b" {:close? close?
                                           :on-success (fn [] (deliver outcome :success))
                                           :on-error (fn [e] (deliver outcome e))})
                      (deliver go "a"))
                    :method method
                    :response {:status status})
          (is (= :success (raw/await-value outcome))))))))

(deftest messages-without-a-byte
  (let [empty-stream #(ByteArrayInputStream. (byte-array 0))
        file (temporary/file "")
        answer (fn [make-body & options]
                 (let [outcome (promise)
                       [status lines body] (exchange (fn [ch]
                                                       (async/send! ch
                                                                    {:status 201 :headers {"X-A" "1"} :body (make-body)}
                                                                    (assoc (apply hash-map options)
                                                                           :on-success #(deliver outcome :success)
                                                                           :on-error #(deliver outcome %)))
                                                       (when-not (:close? (apply hash-map options))
                                                         (async/send! ch "later" :close? true))))]
                   [status lines body (raw/await-value outcome)]))]
    (doseq [make-body [empty-stream
                       (constantly file)
                       #(list (empty-stream))
                       #(list file (list (empty-stream)))
                       (constantly ())]]
      (testing "the status and headers of a map count, also when its body is empty"
        (is (= ["HTTP/1.1 201 Created" ["X-A: 1" "content-length: 0"] "" :success] (answer make-body :close? true))))
      (testing "the response has started, as with nil"
        (is (= ["HTTP/1.1 201 Created" ["X-A: 1" "Transfer-Encoding: chunked"] "5\r\nlater\r\n0\r\n\r\n" :success]
               (answer make-body)))))
    (testing "of a map within a sequence, too; the response starts with what is there to be sent"
      (is (= ["HTTP/1.1 202 Accepted" ["X-A: 1" "content-length: 1"] "x" :success]
             (answer #(list {:status 202 :body (empty-stream)} "x") :close? true))))))
