(ns org.httpkit.server-stream-test
  "Bodies of unknown length: sent as the client takes them, closed whatever happens, cut when they fail."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.hidden :as hidden]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.io IOException InputStream)
           (java.lang.ref WeakReference)
           (java.util Arrays)
           (java.util.concurrent CountDownLatch LinkedBlockingQueue ThreadPoolExecutor TimeUnit)))

(def ^:private mebibyte 1048576)

(defn- stream
  "Returns a stream of `total` bytes, each the low byte of its position. Counts the bytes it gave in the atom `given`,
  calls `before-read` with the position, and opens the latch `closed` when it is closed."
  ^InputStream [total & {:keys [given before-read closed] :or {given (atom 0) before-read (fn [_])}}]
  (let [next-bytes (fn [^bytes target offset length]
                     (let [position @given]
                       (before-read position)
                       (let [count (min (long length) (- (long total) (long position)))]
                         (dotimes [i count]
                           (aset target (+ (long offset) i) (unchecked-byte (+ (long position) i))))
                         (swap! given + count)
                         (if (zero? count) -1 count))))]
    (proxy [InputStream] []
      (read
        ([] (let [one (byte-array 1)] (if (neg? (long (next-bytes one 0 1))) -1 (bit-and 255 (aget one 0)))))
        ([target] (next-bytes target 0 (alength ^bytes target)))
        ([target offset length] (next-bytes target offset length)))
      (readNBytes [target offset length]
        (loop [filled 0]
          (let [count (long (next-bytes target (+ (long offset) filled) (- (long length) filled)))]
            (if (or (neg? count) (= (+ filled count) (long length)))
              (int (+ filled (max count 0)))
              (recur (+ filled count))))))
      (close [] (some-> ^CountDownLatch closed .countDown)))))

(defn- expected-bytes ^bytes [total]
  (let [bytes (byte-array total)]
    (dotimes [i total] (aset bytes i (unchecked-byte i)))
    bytes))

(deftest complete-streams
  (doseq [total [65535 65536 65537 (* 3 mebibyte)]]
    (let [closed (atom [])]
      (raw/with-servers [port (fn [_]
                                (let [latch (CountDownLatch. 1)]
                                  (swap! closed conj latch)
                                  {:headers {"Content-Length" "1"} :body (stream total :closed latch)}))
                         {}]
        (raw/with-connection [connection port]
          (dotimes [_ 2]
            (raw/write connection (raw/request "GET" "/"))
            (let [{:keys [status bytes headers]} (raw/read-response connection)]
              (is (= 200 status))
              (is (= (if (< total 65536) [(str total) nil] [nil "chunked"])
                     (map headers ["content-length" "transfer-encoding"])))
              (is (Arrays/equals (expected-bytes total) ^bytes bytes)))))
        (testing "HTTP/1.0: until the connection closes"
          (let [{:keys [bytes headers]} (raw/fetch port "GET" "/" :version "1.0")]
            (is (nil? (headers "transfer-encoding")))
            (is (Arrays/equals (expected-bytes total) ^bytes bytes)))))
      (is (every? raw/await-latch @closed)))))

(deftest streams-of-a-declared-length
  (let [total (* 3 mebibyte)
        answer (fn [_] {:headers {"Content-Length" (str total)} :body (stream total)})]
    (raw/with-servers [port answer {}]
      (doseq [version ["1.1" "1.0"]]
        (testing [version "the connection is kept"]
          (raw/with-connection [connection port]
            (dotimes [_ 2]
              (raw/write connection (raw/request "GET" "/" :version version :headers {"Connection" "keep-alive"}))
              (let [{:keys [bytes headers]} (raw/read-response connection)]
                (is (= [(str total) nil] (map headers ["content-length" "transfer-encoding"])))
                (is (Arrays/equals (expected-bytes total) ^bytes bytes)))))))))
  (testing "a body of another length is cut, never taken for complete, and logged"
    (doseq [[actual text] {(* 2 mebibyte) "Content-Length is 1048576, but the body has more bytes"
                           (dec mebibyte) "Content-Length is 1048576, but the body has only 1048575 bytes"}]
      (let [log (atom [])
            closed (CountDownLatch. (count raw/dispatches))]
        (raw/with-servers [port (fn [_] {:headers {"Content-Length" (str mebibyte)} :body (stream actual :closed closed)})
                           (raw/quiet log)]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/s") (raw/request "GET" "/next"))
            (let [[head body] (string/split (raw/read-rest connection) #"\r\n\r\n" 2)]
              (is (string/includes? head "content-length: 1048576"))
              (is (> (long mebibyte) (count body))))))
        (is (raw/await-latch closed))
        (is (= (repeat (count raw/dispatches) ["GET /s" text])
               (map (fn [[message exception]] [message (ex-message exception)]) @log)))))))

(deftest lazy-sequences
  (let [numbers (range 100000)]
    (raw/with-servers [port (fn [_] {:body (map #(str % ",") numbers)}) {}]
      (is (= (string/join (map #(str % ",") numbers)) (:body (raw/fetch port "GET" "/")))))
    (testing "an element larger than a piece"
      (let [large (string/join (repeat 200000 "x"))]
        (raw/with-servers [port (fn [_] {:body [large "y" large]}) {}]
          (is (= (str large "y" large) (:body (raw/fetch port "GET" "/")))))))))

(deftest a-sequence-is-not-held
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [first-element (promise)
            figures (promise)
            sent (promise)
            gate (CountDownLatch. 1)
            size 30000
            times 100
            piece (string/join (repeat size "x"))
            ;; Made when the client has what was before: a stream that waits for its client leaves the thread anyway.
            made (fn [n]
                   (when (= n times)
                     (deliver sent true)
                     (raw/await-latch gate))
                   (raw/await-true #(zero? (long (:bytes-pending (@figures)))))
                   (str piece))
            elements #(let [element (Object.)]
                        (deliver first-element (WeakReference. element))
                        (cons element (map made (iterate inc 0))))]
        (raw/with-stats [port stats (fn [_] {:body (elements)}) (assoc (raw/quiet) :dispatch dispatch)]
          (deliver figures stats)
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (.readNBytes ^InputStream (:in connection) (- (* (long size) (long times)) 100000))
            (raw/await-value sent)
            (is (raw/await-true #(do (System/gc) (nil? (.get ^WeakReference @first-element))))
                "the first element is garbage while the others are made"))
          (.countDown gate))))))

(deftest a-slow-client-holds-the-stream-back
  (let [total (* 64 mebibyte)]
    (doseq [dispatch raw/dispatches]
      (testing dispatch
        (let [given (atom 0)
              closed (CountDownLatch. 1)]
          (raw/with-server [port (fn [_] {:body (stream total :given given :closed closed)})
                            {:dispatch dispatch :thread 1 :allow-virtual? false}]
            (raw/with-connection [connection port :receive-buffer 8192]
              (raw/write connection (raw/request "GET" "/"))
              (raw/read-head connection)
              (testing "no more is read than the windows on the way hold"
                (is (< @given (/ total 2))))
              (testing "until the client goes away"
                (is (= 1 (.getCount closed)))
                (raw/disconnect connection)
                (is (raw/await-latch closed))
                (is (< @given total))))))))))

(deftest a-stream-resumes-when-the-client-does
  (let [total (* 16 mebibyte)]
    (raw/with-servers [port (fn [_] {:body (stream total)}) {:thread 1 :allow-virtual? false}]
      (raw/with-connection [slow port :receive-buffer 8192]
        (raw/write slow (raw/request "GET" "/"))
        (testing "with a pool of one thread, two streams at once"
          (is (= total (alength ^bytes (:bytes (raw/fetch port "GET" "/"))))))
        (is (Arrays/equals (expected-bytes total) ^bytes (:bytes (raw/read-response slow))))))))

(deftest a-stream-that-fails
  (testing "before anything was sent: 500"
    (raw/with-servers [port (fn [_] {:body (stream 65535 :before-read (fn [_] (throw (IOException. "broken"))))})
                       (raw/quiet)]
      (is (= [500 "Internal Server Error"] ((juxt :status :body) (raw/fetch port "GET" "/"))))))
  (testing "after that: the connection is cut, and nothing looks complete"
    (doseq [dispatch raw/dispatches
            version ["1.1" "1.0"]]
      (testing [dispatch version]
        (let [log (atom [])
              logged (promise)
              closed (CountDownLatch. 1)]
          (add-watch log ::logged (fn [_ _ _ entries] (deliver logged entries)))
          (raw/with-server [port (fn [_]
                                   {:body (stream (* 4 mebibyte)
                                                  :closed closed
                                                  :before-read #(when (< mebibyte (long %)) (throw (IOException. "broken"))))})
                            (assoc (raw/quiet log) :dispatch dispatch)]
            (raw/with-connection [connection port]
              (raw/write connection (raw/request "GET" "/s" :version version))
              (let [text (raw/read-rest connection)]
                (is (string/starts-with? text "HTTP/1.1 200"))
                (is (not (string/includes? text "500")))
                (is (not (string/ends-with? text "0\r\n\r\n")))))
            (is (raw/await-latch closed))
            (let [[[message exception]] (raw/await-value logged)]
              (is (= "GET /s" message))
              (is (= "broken" (ex-message exception))))
            (is (= 1 (count @log)))))))))

(defn- pool
  "Returns a pool that fails to take a task while `broken?` holds true."
  [broken?]
  (proxy [ThreadPoolExecutor] [2 2 1 TimeUnit/SECONDS (LinkedBlockingQueue.)]
    (execute [task]
      (if @broken?
        (throw (Error. "broken"))
        (let [^ThreadPoolExecutor this this]
          (proxy-super execute task))))))

(deftest a-stream-that-nobody-can-run-any-more
  (doseq [leaves? [false true]]
    (testing (if leaves? "is closed when its client leaves" "is cut, and closed, when its client goes on")
      (let [broken? (atom false)
            log (atom [])
            closed (CountDownLatch. 1)
            total (* 64 mebibyte)
            running (server/run-server (fn [_] {:body (stream total :closed closed)})
                                       (merge (raw/quiet log)
                                              {:port 0 :ip "127.0.0.1" :legacy-return-value? false :worker-pool (pool broken?)
                                               :dispatch :pool}))]
        (hidden/replace! (hidden/value running "application" "overflow") "threads" (pool broken?))
        (try
          (raw/with-connection [connection (server/server-port running) :receive-buffer 8192]
            (raw/write connection (raw/request "GET" "/s"))
            (raw/read-head connection)
            (is (raw/await-true #(< 262144 (long (:bytes-pending (server/server-stats running))))))
            (reset! broken? true)
            (when-not leaves?
              (is (> (long total) (count (raw/read-rest connection))))))
          (is (raw/await-latch closed))
          (is (= [["GET /s" "broken"]] (map (juxt first (comp ex-message second)) @log)))
          (finally
            (reset! broken? false)
            @(server/server-stop! running {:timeout 0})))))))

(deftest a-client-that-leaves-wakes-a-waiting-stream
  (let [gate (CountDownLatch. 1)
        waiting (CountDownLatch. 1)
        body (stream (* 4 mebibyte)
                     :closed gate
                     :before-read #(when (< 100000 (long %))
                                     (.countDown waiting)
                                     (raw/await-latch gate)))]
    (raw/with-server [port (fn [_] {:body body}) (assoc (raw/quiet) :thread 2 :allow-virtual? false)]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/"))
        (raw/read-head connection)
        (is (raw/await-latch waiting)))
      (is (raw/await-latch gate)))))

(deftest a-stream-does-not-survive-stop
  (let [closed (CountDownLatch. (count raw/dispatches))]
    (doseq [dispatch raw/dispatches]
      (let [connection (atom nil)]
        (raw/with-server [port (fn [_] {:body (stream Long/MAX_VALUE :closed closed)}) {:dispatch dispatch}]
          (reset! connection (raw/connect port :receive-buffer 8192))
          (raw/write @connection (raw/request "GET" "/"))
          (raw/read-head @connection))
        (is (not (string/ends-with? (raw/read-rest @connection) "0\r\n\r\n")))
        (raw/disconnect @connection)))
    (is (raw/await-latch closed))))

(deftest head-of-a-stream
  (doseq [[total headers expected] [[10 {} "10"]
                                    [10 {"Content-Length" "11"} "10"]
                                    [(* 4 mebibyte) {} nil]
                                    [(* 4 mebibyte) {"Content-Length" "4194304"} "4194304"]]]
    (let [given (atom 0)
          closed (CountDownLatch. (count raw/dispatches))]
      (raw/with-servers [port (fn [request]
                                (reset! given 0)
                                (if (= :head (:request-method request))
                                  {:headers headers :body (stream total :given given :closed closed)}
                                  {:body "next"}))
                         {}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "HEAD" "/") (raw/request "GET" "/"))
          (is (= expected ((:headers (raw/read-response connection :head? true)) "content-length")))
          (is (= "next" (:body (raw/read-response connection))))))
      (is (raw/await-latch closed)))))
