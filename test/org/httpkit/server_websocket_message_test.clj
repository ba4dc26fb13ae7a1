(ns org.httpkit.server-websocket-message-test
  "Messages on their way to callbacks: whole, in order, one at a time, on which threads, and what becomes of failures."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.hidden :as hidden]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch Executors RejectedExecutionException ThreadPoolExecutor)
           (java.util.concurrent.atomic AtomicInteger)
           (org.httpkit.server AsyncChannel UpgradeOptions)))

(defn- receiving
  "Returns a handler whose WebSockets pass each message to `(f ch message)`."
  [f]
  (fn [request] (server/as-channel request {:on-receive f})))

(defn- upgraded
  "Upgrades the request's channel with these options, after `set-callbacks` has had it."
  [request ^UpgradeOptions options set-callbacks]
  (let [ch ^AsyncChannel (:async-channel request)]
    (set-callbacks ch)
    (.sendHandshake ch {"Upgrade" "websocket"
                        "Connection" "Upgrade"
                        "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                    options)
    {:body ch}))

(deftest whole-messages
  (let [events (ws/events)
        heard #(let [message (ws/next-event events)] (if (bytes? message) (vec message) message))]
    (raw/with-servers [port (receiving (fn [_ message] (ws/note events message))) {}]
      (ws/with-socket [connection port]
        (testing "text and binary, empty too"
          (ws/write-bytes connection (ws/frame :text "") (ws/frame :binary []) (ws/frame :text "h\u00e9 \ud83d\ude00")
                          (ws/frame :binary [0 255]))
          (is (= ["" [] "h\u00e9 \ud83d\ude00" [0 -1]] (repeatedly 4 heard))))
        (testing "in fragments, which may be empty, may part a character, and may have control frames between them"
          (ws/write-bytes connection (ws/frame :text [0xc3] :fin? false) (ws/frame :ping "p") (ws/frame :continuation "" :fin? false)
                          (ws/frame :continuation [0xa9 0x78] :fin? false) (ws/frame :pong "") (ws/frame :continuation ""))
          (is (= "p" (:text (ws/read-frame connection))))
          (is (= "\u00e9x" (heard))))
        (testing "in TCP segments of one byte"
          (doseq [byte (concat (ws/frame :text "slowly") (ws/frame :binary (range 200)))]
            (ws/write-bytes connection (byte-array [byte])))
          (is (= ["slowly" (map unchecked-byte (range 200))] [(heard) (heard)])))
        (testing "around the sizes at which they travel another way"
          (doseq [length [125 126 1023 1024 1025 8192 65535 65536 65537 300000]]
            (let [text (string/join (repeat length "t"))]
              (ws/send-text connection text)
              (ws/send-binary connection (byte-array length (byte 7)))
              (is (= text (heard)))
              (is (= (repeat length 7) (heard)))))
          (ws/send-text connection "short again")
          (is (= "short again" (heard))))))))

(deftest order
  (testing "one at a time and as they came, whether the callback is quick or slow, in place or not"
    (raw/with-servers [port (let [running (AtomicInteger.)
                                  expected (AtomicInteger.)]
                              (receiving (fn [ch message]
                                           (let [number (Long/parseLong message)]
                                             (when (or (not= 1 (.incrementAndGet running))
                                                       (not= number (mod (.getAndIncrement expected) 1000)))
                                               (server/send! ch (str "out of order: " number)))
                                             (when (zero? (rem number 100))
                                               (Thread/sleep 2))
                                             (.decrementAndGet running)
                                             (when (= number 999)
                                               (server/send! ch "done"))))))
                       {}]
      (ws/with-socket [connection port]
        (dotimes [_ 3]
          (doseq [part (partition-all 7 (range 1000))]
            (apply ws/write-bytes connection (map #(ws/frame :text (str %)) part)))
          (is (= "done" (ws/read-text connection))))))))

(deftest channels-do-not-wait-for-each-other
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [go-on (promise)]
        (raw/with-server [port (receiving (fn [ch message]
                                            (when (= message "wait")
                                              (raw/await-value go-on))
                                            (server/send! ch message)))
                          {:dispatch dispatch}]
          (ws/with-socket [waiting port]
            (ws/send-text waiting "wait")
            (ws/with-socket [other port]
              (dotimes [n 20]
                (ws/send-text other (str n))
                (is (= (str n) (ws/read-text other)))))
            (deliver go-on true)
            (is (= "wait" (ws/read-text waiting)))))))))

(deftest failures
  (testing "are logged with an event; the channel stays open"
    (let [events (ws/events)]
      (raw/with-servers [port (fn [request]
                                (upgraded request UpgradeOptions/DEFAULT
                                          (fn [^AsyncChannel ch]
                                            (.setReceiveHandler ch (fn [message]
                                                                     (if (= message "throw")
                                                                       (throw (AssertionError. "mine"))
                                                                       (server/send! ch message))))
                                            (.setPingHandler ch (fn [_] (throw (Exception. "ping")))))))
                         {:error-logger (fn [message exception] (ws/note events [message (ex-message exception)]))
                          :event-logger #(when (string/includes? % ".ws.") (ws/note events %))}]
        (ws/with-socket [connection port]
          (ws/write-bytes connection (ws/frame :text "throw") (ws/frame :text "next") (ws/frame :ping "abc"))
          (is (= #{"next" "abc"} (set (map :text (repeatedly 2 #(ws/read-frame connection))))))
          (is (= [["handle websocket frame text of 5 bytes" "mine"] "httpkit.server.ws.frame.error"
                  ["handle websocket frame ping" "ping"] "httpkit.server.ws.frame.error"]
                 (repeatedly 4 #(ws/next-event events))))))))
  (testing "go to the error handler instead, if there is one"
    (let [events (ws/events)
          log (atom [])]
      (raw/with-server [port (fn [request]
                               (upgraded request UpgradeOptions/DEFAULT
                                         (fn [^AsyncChannel ch]
                                           (.setErrorHandler ch #(do (ws/note events (ex-message %))
                                                                     (when (= "twice" (ex-message %))
                                                                       (throw (Exception. "again")))))
                                           (.setReceiveHandler ch (fn [message] (throw (Exception. ^String message)))))))
                        (raw/quiet log)]
        (ws/with-socket [connection port]
          (ws/send-text connection "once")
          (is (= "once" (ws/next-event events)))
          (is (empty? @log))
          (ws/send-text connection "twice")
          (is (= "twice" (ws/next-event events)))
          (ws/send-text connection "last")
          (is (= "last" (ws/next-event events)))
          (is (= ["websocket error handler" "handle websocket frame text of 5 bytes"] (map first @log))))))))

(deftest pings
  (testing "one pong each, whoever listens"
    (doseq [options [{} {:on-ping (fn [_ _])} {:on-ping (fn [_ _]) :on-receive (fn [_ _])}]]
      (raw/with-servers [port #(server/as-channel % options) {}]
        (ws/with-socket [connection port]
          (ws/write-bytes connection (ws/frame :ping "1") (ws/frame :ping "") (ws/frame :ping (byte-array 125)))
          (is (= ["1" "" (String. (byte-array 125))] (map :text (repeatedly 3 #(ws/read-frame connection)))))
          (ws/send-close connection 1000 "")
          (is (= [1000 ""] (ws/read-close connection)) "no second pong")))))
  (testing "on-ping gets the data as bytes, after the pong"
    (raw/with-servers [port #(server/as-channel % {:on-ping (fn [ch data] (server/send! ch (str "pinged " (String. ^bytes data))))}) {}]
      (ws/with-socket [connection port]
        (ws/send-frame connection :ping "abc")
        (is (= [[:pong "abc"] [:text "pinged abc"]] (map (juxt :type :text) (repeatedly 2 #(ws/read-frame connection))))))))
  (testing "set by hand, with on-ping of the protocol"
    (raw/with-server [port #(server/with-channel % ch (server/on-ping ch (fn [data] (server/send! ch (String. ^bytes data))))) {}]
      (ws/with-socket [connection port]
        (ws/send-frame connection :ping "abc")
        (is (= [[:pong "abc"] [:text "abc"]] (map (juxt :type :text) (repeatedly 2 #(ws/read-frame connection))))))))
  (testing "an upgrade that keeps them to itself"
    (raw/with-server [port (fn [request]
                             (upgraded request (.ownPong UpgradeOptions/DEFAULT)
                                       (fn [^AsyncChannel ch]
                                         (.setPingHandler ch (fn [data] (server/send! ch (str "own " (String. ^bytes data))))))))
                      {}]
      (ws/with-socket [connection port]
        (ws/send-frame connection :ping "abc")
        (is (= [:text "own abc"] ((juxt :type :text) (ws/read-frame connection))))
        (ws/send-close connection)
        (is (= [nil ""] (ws/read-close connection))))))
  (testing "of a client that was closed get no answer"
    (let [channels (ws/events)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))}) {}]
        (ws/with-socket [connection port]
          (server/close (ws/next-event channels))
          (is (= [1000 ""] (ws/read-close connection)))
          (ws/write-bytes connection (ws/frame :ping "late") (ws/frame :text "late") (ws/frame :close []))
          (is (raw/ended? connection)))))))

(deftest pongs
  (let [events (ws/events)]
    (raw/with-servers [port (fn [request]
                              (upgraded request UpgradeOptions/DEFAULT
                                        (fn [^AsyncChannel ch]
                                          (.setPongHandler ch #(ws/note events (vec %)))
                                          (is (thrown-with-msg? IllegalStateException #"^pong handler exist: "
                                                                (.setPongHandler ch identity))))))
                       {}]
      (ws/with-socket [connection port]
        (ws/write-bytes connection (ws/frame :pong [1 2]) (ws/frame :pong []))
        (is (= [[1 2] []] (repeatedly 2 #(ws/next-event events))))))))

(deftest a-full-pool
  (testing "costs the client its connection: Close 1013, log, event, on-close; the others get their turn"
    (let [events (ws/events)
          go-on (promise)]
      (raw/with-server [port (fn [request]
                               (server/as-channel request {:on-receive (fn [_ message]
                                                                         (ws/note events message)
                                                                         (raw/await-value go-on))
                                                           :on-close (fn [_ status] (ws/note events status))}))
                        {:thread 1
                         :queue-size 1
                         :queue-type :array
                         :allow-virtual? false
                         :dispatch :pool
                         :error-logger (fn [message exception] (ws/note events [message (class exception)]))
                         :event-logger #(when (string/includes? % "503") (ws/note events %))}]
        (let [[a b c] (repeatedly #(ws/connect port))]
          (ws/send-text a "a")
          (is (= "a" (ws/next-event events)))
          (ws/send-text b "b")
          ;; The pong says that the engine has read what was before the ping.
          (ws/send-frame b :ping "")
          (ws/read-frame b)
          (ws/send-text c "c")
          (is (= [1013 "Server overloaded"] (ws/read-close c)))
          (is (= [["increase :queue-size if this happens often" RejectedExecutionException]
                  "httpkit.server.status.503.todo"
                  :server-close]
                 (repeatedly 3 #(ws/next-event events))))
          (deliver go-on true)
          (is (= "b" (ws/next-event events)))
          (is (ws/no-event? events))
          (run! raw/disconnect [a b c]))))))

(deftest turns
  (testing "a channel with many messages lets the pool's other tasks have theirs"
    (let [events (ws/events)
          entered (promise)
          go-on (promise)
          pool (Executors/newFixedThreadPool 1)]
      (raw/with-server [port (receiving (fn [_ message]
                                          (deliver entered true)
                                          (raw/await-value go-on)
                                          (ws/note events message)))
                        {:worker-pool pool :dispatch :pool}]
        (ws/with-socket [talkative port]
          (ws/with-socket [other port]
            (ws/send-text talkative "many")
            (raw/await-value entered)
            (apply ws/write-bytes talkative (repeat 199 (ws/frame :text "many")))
            (ws/send-text other "one")
            (is (raw/await-true #(pos? (.size (.getQueue ^ThreadPoolExecutor pool)))))
            (deliver go-on true)
            (let [heard (repeatedly 201 #(ws/next-event events))]
              (is (= {"many" 200 "one" 1} (frequencies heard)))
              (is (< (count (take-while #{"many"} heard)) 100)))))))))

(deftest threads
  (testing "quick callbacks run where the message was read, slow ones on the pool, and back again"
    (let [in-place? #(string/starts-with? % "httpkit-rs-")]
      (raw/with-server [port (receiving (fn [ch message]
                                          (when (= message "slow")
                                            (Thread/sleep 5))
                                          (server/send! ch (.getName (Thread/currentThread)))))
                        {:dispatch :adaptive :in-place-budget 1000 :allow-virtual? false}]
        (ws/with-socket [connection port]
          (let [thread-of #(do (ws/send-text connection %) (ws/read-text connection))
                until (fn [message wanted?] (some wanted? (repeatedly 2000 #(thread-of message))))]
            (is (until "quick" in-place?))
            (is (until "slow" (complement in-place?)))
            (is (until "quick" in-place?)))))))
  (testing ":pool is always the pool, :in-place never if the channel is idle"
    (doseq [[dispatch in-place?] {:pool false :in-place true}]
      (raw/with-server [port (receiving (fn [ch _] (server/send! ch (.getName (Thread/currentThread)))))
                        {:dispatch dispatch :allow-virtual? false}]
        (ws/with-socket [connection port]
          (dotimes [_ 20]
            (ws/send-text connection "x")
            (is (= in-place? (string/starts-with? (ws/read-text connection) "httpkit-rs-")))))))))

(deftest a-failure-that-cannot-be-reported
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [closed (promise)
            running (server/run-server (fn [request]
                                         (server/as-channel request {:on-receive (fn [_ _] (throw (ex-info "expected" {})))
                                                                     :on-close (fn [_ status] (deliver closed status))}))
                                       (merge (raw/quiet) {:port 0 :ip "127.0.0.1" :legacy-return-value? false
                                                           :dispatch dispatch}))]
        ;; As if there were no memory for the entry's text.
        (hidden/replace! (hidden/value running "application" "telemetry") "names" nil)
        (try
          (ws/with-socket [connection (server/server-port running)]
            (ws/send-text connection "x")
            (is (= [1011 "Message lost"] (ws/read-close connection)))
            (is (= :server-close (raw/await-value closed))))
          (finally
            @(server/server-stop! running {:timeout 0})))))))

(deftest no-two-connections-share-a-callback
  (let [start (CountDownLatch. 1)
        clients 16]
    (raw/with-servers [port (receiving (fn [ch message] (server/send! ch (str message "!")))) {}]
      (let [echoes (doall (for [client (range clients)]
                            (future
                              (ws/with-socket [connection port]
                                (raw/await-latch start)
                                (every? (fn [n]
                                          (ws/send-text connection (str client "-" n))
                                          (= (str client "-" n "!") (ws/read-text connection)))
                                        (range 50))))))]
        (.countDown start)
        (is (every? true? (map deref echoes)))))))
