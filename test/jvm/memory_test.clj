(ns jvm.memory-test
  "What crosses between the heap and native memory while collectors move and free, channels that outlive their exchange, and what a full
  heap must not break (docs/RELIABILITY.md, J13, J14, J17)."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.websocket :as ws]
            [jvm.load :as load]
            [org.httpkit.server :as server])
  (:import (java.io OutputStream)
           (java.util Arrays Random)
           (java.util.concurrent.atomic AtomicLong)))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(def ^:private collectors
  "JVM options by the first word of a collector's names, and the MiB that each protocol echoes with full counts: 10 GiB in all, and
  about as long with each. A JVM takes another collector if it has not the one it is asked for."
  {"ZGC" [["-XX:+UnlockExperimentalVMOptions" "-XX:+UseZGC"] 2300]
   "Shenandoah" [["-XX:+UnlockExperimentalVMOptions" "-XX:+UseShenandoahGC"] 2600]
   "G1" [["-XX:+UseG1GC" "-Xmx64m"] 300]})

(defn- random-bytes ^bytes [^Random random ^long length]
  (let [bytes (byte-array length)]
    (.nextBytes random bytes)
    bytes))

(defn- post
  "Sends the bytes to be echoed."
  [{:keys [^OutputStream out] :as connection} ^bytes bytes]
  (raw/write connection "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " (str (alength bytes)) "\r\n\r\n")
  (.write out bytes)
  (.flush out)
  (:bytes (raw/read-response connection)))

(defn- message [socket bytes]
  (ws/send-binary socket bytes)
  (:bytes (ws/read-frame socket)))

(defn- echo
  "Has `total` bytes echoed in pieces of many lengths; returns the lengths of those that came back wrong."
  [send connection ^long total]
  (let [random (Random. total)
        ;; Around what travels in a buffer, in an array of its own, and is kept by the engine.
        lengths [1 100 2048 2049 32768 65535 65536 65537 200000 1000000]]
    (loop [left total, wrong []]
      (if (pos? left)
        (let [^long length (lengths (.nextInt random (count lengths)))
              bytes (random-bytes random length)
              back (send connection bytes)]
          (recur (- left length) (if (Arrays/equals ^bytes bytes ^bytes back) wrong (conj wrong length))))
        wrong))))

(def ^:private slow-start-millis
  "A server may take so long to start in a JVM that collects garbage all the time, on a machine with much else to do."
  120000)

(defn- echo-all
  "Has as much echoed by both protocols at once."
  [jvm ^long total]
  (let [port (child/evaluate jvm '(start {:max-ws 2000000}) :millis slow-start-millis)
        over-http (future (raw/with-connection [connection port] (echo post connection total)))
        over-sockets (future (ws/with-socket [socket port :target "/socket"] (echo message socket total)))]
    (is (= [[] []] [@over-http @over-sockets]))))

(def ^:private seeded-handler
  "In the child: answers with the random bytes of a seed. They are few enough for collectors to move them."
  '(defn seeded [{:keys [query-string]}]
     (let [bytes (byte-array 300000)]
       (.nextBytes (java.util.Random. (Long/parseLong query-string)) bytes)
       {:body bytes})))

(defn- read-late
  "Has clients read their answers, more than sockets hold, when garbage has been collected a few times. Returns the seeds of those
  that came wrong."
  [jvm]
  (let [port (child/evaluate jvm (list 'do seeded-handler '(start seeded {})) :millis slow-start-millis)
        answers 16
        connections (vec (repeatedly (child/counts 4 20) #(raw/connect port :receive-buffer 65536)))
        seeds (fn [client] (range (* (long client) answers) (* (inc (long client)) answers)))]
    (dotimes [client (count connections)]
      (apply raw/write (connections client) (map #(raw/request "GET" (str "/?" %)) (seeds client))))
    (let [enough (+ 5 (long (child/evaluate jvm '(collections))))]
      (is (child/evaluate jvm (list 'raw/await-true (list 'fn [] (list '<= enough '(collections)))))))
    (let [wrong (vec (for [client (range (count connections))
                           seed (seeds client)
                           :let [{:keys [bytes]} (raw/read-response (connections client))]
                           :when (not (Arrays/equals ^bytes bytes ^bytes (random-bytes (Random. seed) 300000)))]
                       seed))]
      (run! raw/disconnect connections)
      wrong)))

(deftest bytes-that-cross-while-memory-moves
  (doseq [[collector [options mebibytes]] collectors]
    (testing collector
      (with-open [jvm (child/start :options options)]
        (if (every? #(string/starts-with? % collector) (child/evaluate jvm '(collectors)))
          (do
            (child/evaluate jvm '(collect-all-the-time))
            (is (= [] (read-late jvm)))
            (echo-all jvm (* 1048576 (long (child/counts 8 mebibytes))))
            (is (< 5 (long (child/evaluate jvm '(collections)))))
            (is (empty? (child/complaints jvm))))
          (skip (str "this JVM has no " collector)))))))

(defn- keeper
  "Returns a handler that puts channels into `kept`: streams of /stream, WebSockets of /socket, and unanswered ones."
  [kept]
  (fn [{:keys [uri] :as request}]
    (if (= "/fine" uri)
      {:body "fine"}
      (server/as-channel request {:on-open (fn [channel]
                                             (case uri
                                               "/stream" (server/send! channel "first" false)
                                               "/socket" (server/send! channel "first")
                                               nil)
                                             (swap! kept conj channel))}))))

(defn- open-channels
  "Opens connections for so many channels of each kind and returns them."
  [port number]
  (vec (mapcat (fn [_]
                 [(doto (raw/connect port) (raw/write (raw/request "GET" "/stream")) raw/read-head)
                  (doto (ws/connect port :target "/socket") ws/read-text)
                  (raw/write (raw/connect port) (raw/request "GET" "/silent"))])
               (range number))))

(defn- hammer
  "Sends to the channels from `threads` threads until `stop?`, and counts. Returns functions that wait for the threads."
  [channels threads ^AtomicLong sends stop?]
  (mapv (fn [_]
          (future
            (while (not (stop?))
              (doseq [channel channels]
                (server/send! channel "stale" false)
                (.incrementAndGet sends)))))
        (range threads)))

(deftest channels-kept-after-their-end
  (testing "send! from many threads while connections end, others begin and the server stops"
    (let [sends (AtomicLong.)
          rounds (child/counts 4 40)]
      (dotimes [_ rounds]
        (let [kept (atom [])
              stop (server/run-server (keeper kept) (merge {:port 0 :ip "127.0.0.1"} (raw/quiet)))
              port (:local-port (meta stop))
              connections (open-channels port 10)]
          (raw/await-true #(<= 30 (count @kept)))
          (let [channels @kept
                stopped? (atom false)
                threads (hammer channels 4 sends #(deref stopped?))]
            (run! raw/disconnect connections)
            (testing "a new connection never gets what was sent to an old one"
              (is (= {[200 "fine"] 200} (load/fetch-times port (raw/request "GET" "/fine") 200)))
              (dotimes [_ 10]
                (ws/with-socket [socket port :target "/socket"]
                  (is (= "first" (ws/read-text socket)))
                  (ws/send-close socket)
                  (is (= :close (:type (ws/read-frame socket)))))))
            (stop)
            (is (not-any? server/open? channels))
            (is (not-any? #(server/send! % "late" true) channels))
            (let [before (.get sends)]
              (is (raw/await-true #(<= (+ before 25000) (.get sends)))))
            (reset! stopped? true)
            (is (= [nil nil nil nil] (mapv raw/await-value threads)))
            (is (not-any? server/close channels)))))
      (is (< 100000 (.get sends))))))

(def ^:private too-large
  "Bytes that the heap of `small-heap` has no room for, ever."
  (* 80 1024 1024))

(def ^:private small-heap ["-Xmx64m"])

(def ^:private server-without-memory
  "In the child: a server whose error log, closes and number of WebSockets can be asked for, with a gate that /wait waits for."
  '(do (def gate (java.util.concurrent.CountDownLatch. 1))
       (def entered (java.util.concurrent.CountDownLatch. 1))
       (def log (atom []))
       (def closes (atom []))
       (start (fn [{:keys [uri] :as request}]
                (if (:websocket? request)
                  (server/as-channel request {:on-receive (fn [_ _]
                                                            (when (= "/wait" uri)
                                                              (.countDown entered)
                                                              (.await gate)))
                                              :on-close (fn [_ status] (swap! closes conj status))})
                  (handler request)))
              {:max-ws 100000000 :max-body 100000000 :dispatch :pool
               :error-logger (fn [message exception] (swap! log conj [message (str (class exception))]))})))

(defn- await-form
  "Waits until the form is true in the child."
  [jvm form]
  (child/evaluate jvm (list 'raw/await-true (list 'fn [] form))))

(def ^:private no-web-sockets
  '(let [field (fn [object name]
                 (.get (doto (.getDeclaredField (class object) name) (.setAccessible true)) object))]
     (empty? (field (field (first @servers) "application") "webSockets"))))

(defn- send-too-large [socket]
  (ws/write-bytes socket (ws/frame :binary [] :length too-large) (byte-array too-large)))

(deftest what-the-heap-has-no-room-for
  (with-open [jvm (child/start :options small-heap)]
    (let [port (child/evaluate jvm server-without-memory)
          lost ["handle websocket frame binary of 83886080 bytes" "class java.lang.OutOfMemoryError"]]
      (testing "a request is answered"
        (raw/with-connection [connection port]
          (raw/write connection "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " (str too-large) "\r\n\r\n")
          (ws/write-bytes connection (byte-array too-large))
          (is (= 503 (:status (raw/read-response connection)))))
        (is (= [["no memory for a request body of 83886080 bytes" "class java.lang.OutOfMemoryError"]]
               (child/evaluate jvm '(first (reset-vals! log []))))))
      (testing "a WebSocket is closed"
        (ws/with-socket [socket port]
          (send-too-large socket)
          (is (= [1011 "Message lost"] (ws/read-close socket))))
        (is (await-form jvm '(= [:server-close] @closes)))
        (is (= [lost] (child/evaluate jvm '(first (reset-vals! log []))))))
      (testing "a WebSocket whose client has gone meanwhile ends"
        (ws/with-socket [socket port :target "/wait"]
          (ws/send-text socket "wait")
          (is (child/evaluate jvm '(raw/await-latch entered)))
          (send-too-large socket)
          (is (await-form jvm '(= 3 (:messages-in (server/server-stats (first @servers))))))
          (ws/reset socket))
        (child/evaluate jvm '(.countDown gate))
        (is (await-form jvm '(= 2 (count @closes))))
        (is (await-form jvm '(zero? (:connections (server/server-stats (first @servers))))))
        (is (= [lost] (child/evaluate jvm '@log))))
      (is (await-form jvm no-web-sockets))
      (is (empty? (child/complaints jvm))))))

(def ^:private in-full-heap
  "In the child: calls a function while the heap has no room for anything but what the function gives back first; returns the class of what
  it throws. Nothing but the one thread allocates, so this is the same each time."
  '(defn in-full-heap [f]
     (let [^objects hoard (object-array 1)]
       (loop [size 1000000]
         (let [fits? (try
                       (let [^objects more (object-array size)]
                         (aset more 0 (aget hoard 0))
                         (aset hoard 0 more)
                         true)
                       (catch OutOfMemoryError _ false))]
           (cond
             fits? (recur size)
             (< 1 (long size)) (recur (quot (long size) 2)))))
       (let [thrown (try (f) nil (catch Throwable thrown thrown))]
         (aset hoard 0 nil)
         (some-> thrown class str)))))

(deftest what-a-full-heap-does-not-break
  (with-open [jvm (child/start :options ["-XX:+UseSerialGC" "-Xmx32m"])]
    (child/evaluate jvm in-full-heap)
    (child/evaluate jvm '(start))
    (testing "to end a connection, for the first time"
      (is (nil? (child/evaluate jvm '(in-full-heap #(org.httpkit.engine.Native/abort 0 0))))))
    (testing "to give back what an answer was written with"
      (is (nil? (child/evaluate jvm '(let [writer (org.httpkit.engine.ResponseWriter/acquire)]
                                       (in-full-heap #(.release ^org.httpkit.engine.ResponseWriter writer)))))))
    (testing "to read a text: the next like it is not taken for the one before"
      (is (= ["class java.lang.reflect.InvocationTargetException" true]
             (child/evaluate jvm '(let [type (Class/forName "org.httpkit.engine.LastText")
                                        texts (.newInstance (doto (.getDeclaredConstructor type (into-array Class []))
                                                              (.setAccessible true))
                                                            (object-array 0))
                                        ^java.lang.reflect.Method read
                                        (doto (.getDeclaredMethod type "read" (into-array Class [(class (byte-array 0)) Integer/TYPE
                                                                                                 Integer/TYPE]))
                                          (.setAccessible true))
                                        length (int 1000000)
                                        arguments (object-array [(byte-array length (byte 97)) (int 0) length])
                                        ;; Room for the copy of the bytes, and not for the text as well.
                                        room (object-array [(byte-array 1500000)])]
                                    (.invoke read texts (object-array [(.getBytes "before") (int 0) (int 6)]))
                                    [(in-full-heap (fn [] (aset room 0 nil) (.invoke read texts arguments)))
                                     (= length (count (.invoke read texts arguments)))])))))
    (is (= "fine" (:body (raw/fetch (child/evaluate jvm '(server/server-port (first @servers))) "GET" "/"))))
    (testing "to stop a server, nor to stop another one later"
      (let [port (child/evaluate jvm '(start))]
        (is (= ":stopped" (child/evaluate jvm '(let [server (first @servers)
                                                     ;; For what a stop makes before anything has changed.
                                                     room (object-array [(byte-array 2000)])]
                                                 ;; Links the call.
                                                 (stop-at-once (org.httpkit.server.HttpServer. nil (byte-array 0)) (object-array 1))
                                                 (in-full-heap (fn [] (stop-at-once server room)))
                                                 (swap! servers rest)
                                                 (str (server/server-status server))))))
        (is (thrown? java.net.ConnectException (raw/connect port))))
      (is (true? (child/evaluate jvm '(stop)))))
    (is (empty? (child/complaints jvm)))))
