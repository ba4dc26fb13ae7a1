(ns org.httpkit.server-websocket-close-test
  "How a WebSocket ends: who says so, with which code, and what each side hears of it, once."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch Executors ThreadPoolExecutor)
           (org.httpkit.server AsyncChannel UpgradeOptions)))

(defn- listening
  "Returns a handler that upgrades, notes the channel as [:open ch], and both kinds of end: [:closed keyword] and
  [:ring code reason]."
  ([events] (listening events UpgradeOptions/DEFAULT))
  ([events ^UpgradeOptions options]
   (fn [request]
     (let [ch ^AsyncChannel (:async-channel request)]
       (.setCloseHandler ch #(ws/note events [:closed %]))
       (.setCloseRingHandler ch #(ws/note events [:ring %1 %2]))
       (.setReceiveHandler ch identity)
       (.sendHandshake ch {"Upgrade" "websocket"
                           "Connection" "Upgrade"
                           "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                       options)
       (ws/note events [:open ch])
       {:body ch}))))

(defn- endings
  "Returns what was noted of the end of one WebSocket: [keyword code reason]."
  [events]
  (let [[[_ keyword] [_ code reason]] (sort-by first (repeatedly 2 #(ws/next-event events)))]
    [keyword code reason]))

(deftest by-the-client
  (testing "the Close frame comes back as it was, and then TCP ends"
    (let [events (ws/events)]
      (raw/with-servers [port (listening events) {}]
        (doseq [[payload expected ending]
                [[[] [nil ""] [:no-status-received 1005 ""]]
                 [(ws/close-payload 1000 "") [1000 ""] [:normal 1000 ""]]
                 [(ws/close-payload 1001 "h\u00e9") [1001 "h\u00e9"] [:going-away 1001 "h\u00e9"]]
                 [(ws/close-payload 1002 "") [1002 ""] [:protocol-error 1002 ""]]
                 [(ws/close-payload 1003 "") [1003 ""] [:unsupported 1003 ""]]
                 [(ws/close-payload 1007 "") [1007 ""] [:invalid-payload-data 1007 ""]]
                 [(ws/close-payload 1008 "") [1008 ""] [:policy-violation 1008 ""]]
                 [(ws/close-payload 1009 "") [1009 ""] [:message-too-big 1009 ""]]
                 [(ws/close-payload 1010 "") [1010 ""] [:mandatory-extension 1010 ""]]
                 [(ws/close-payload 1011 "") [1011 ""] [:internal-server-error 1011 ""]]
                 [(ws/close-payload 1012 "") [1012 ""] [:unknown 1012 ""]]
                 [(ws/close-payload 1014 "") [1014 ""] [:unknown 1014 ""]]
                 [(ws/close-payload 3000 "") [3000 ""] [:unknown 3000 ""]]
                 [(ws/close-payload 4999 "bye") [4999 "bye"] [:unknown 4999 "bye"]]]]
          (ws/with-socket [connection port]
            (is (= :open (first (ws/next-event events))))
            ;; What follows a Close frame is not for the server to read.
            (ws/write-bytes connection (ws/frame :close payload) (ws/frame :text "never") (ws/frame :ping ""))
            (is (= expected (ws/read-close connection)))
            (is (raw/ended? connection)))
          (is (= ending (endings events))))
        (is (ws/no-event? events)))))
  (testing "within a fragmented message"
    (let [events (ws/events)]
      (raw/with-server [port (listening events) {}]
        (ws/with-socket [connection port]
          (ws/next-event events)
          (ws/write-bytes connection (ws/frame :text "half" :fin? false) (ws/frame :close (ws/close-payload 1000 "enough")))
          (is (= [1000 "enough"] (ws/read-close connection))))
        (is (= [:normal 1000 "enough"] (endings events)))))))

(deftest a-client-that-vanishes
  (doseq [[description vanish] {"reset" ws/reset
                                "FIN" raw/disconnect
                                "half-close" raw/half-close
                                "within a frame" (fn [connection]
                                                   (ws/write-bytes connection (java.util.Arrays/copyOf (ws/frame :text "abcd") 7))
                                                   (ws/reset connection))}
          [options expected] {UpgradeOptions/DEFAULT [:going-away 1001 ""]
                              (.rawCloseCodes UpgradeOptions/DEFAULT) [:going-away 1006 ""]}]
    (testing description
      (let [events (ws/events)]
        (raw/with-servers [port (listening events options) {}]
          (let [connection (ws/connect port)
                [_ ch] (ws/next-event events)]
            (vanish connection)
            (is (= expected (endings events)))
            (is (= [false false] [(server/open? ch) (server/send! ch "x")]))
            (raw/disconnect connection)))
        (is (ws/no-event? events))))))

(defn- close-from-server
  "Calls `end` with the channel of a new WebSocket. Returns [result-of-end what-the-client-reads-as-close endings]."
  [end]
  (let [events (ws/events)]
    (raw/with-server [port (listening events) {}]
      (ws/with-socket [connection port]
        (let [[_ ch] (ws/next-event events)
              result (end ch)
              ;; By now, on this thread.
              ended (when-not (.isEmpty events) (endings events))
              close (ws/read-close connection)]
          (ws/send-close connection (or (first close) 1000) "")
          (is (raw/ended? connection))
          (is (ws/no-event? events))
          [result close ended])))))

(deftest by-the-server
  (testing "the callbacks run within the call; the answer to the Close frame ends TCP"
    (is (= [true [1000 ""] [:server-close 1000 ""]] (close-from-server server/close)))
    (doseq [code [1000 1001 1002 1003 1007 1008 1009 1010 1011 1012 1013 1014 3000 4999]]
      (is (= [true [code ""] [:server-close code ""]] (close-from-server #(.serverClose ^AsyncChannel % code)))))
    (is (= [true [4000 "h\u00e9"] [:server-close 4000 "h\u00e9"]]
           (close-from-server #(.serverClose ^AsyncChannel % 4000 "h\u00e9"))))
    (is (= [true [4000 ""] [:server-close 4000 ""]] (close-from-server #(.serverClose ^AsyncChannel % 4000 nil))))
    (let [longest (string/join (repeat 123 "x"))]
      (is (= [true [4000 longest] [:server-close 4000 longest]]
             (close-from-server #(.serverClose ^AsyncChannel % 4000 longest))))))
  (testing "what no Close frame can carry is refused and changes nothing"
    (is (= [true [1000 ""] [:server-close 1000 ""]]
           (close-from-server
            (fn [^AsyncChannel ch]
              (doseq [code [-1 0 999 1004 1005 1006 1015 5000 65536]]
                (is (thrown-with-msg? IllegalArgumentException (re-pattern (str "^Invalid websocket close status: " code "$"))
                                      (.serverClose ch code))))
              (doseq [reason [(string/join (repeat 124 "x")) (string/join (repeat 62 "\u00e9"))]]
                (is (thrown-with-msg? IllegalArgumentException #"^Websocket close reason exceeds 123 bytes$"
                                      (.serverClose ch 1000 reason))))
              (is (server/open? ch))
              (server/close ch))))))
  (testing "an exception of on-close reaches the caller; the frame has gone out"
    (let [channels (ws/events)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))
                                                    :on-close (fn [_ _] (throw (ex-info "mine" {})))})
                        {}]
        (ws/with-socket [connection port]
          (is (thrown-with-msg? Exception #"mine" (server/close (ws/next-event channels))))
          (is (= [1000 ""] (ws/read-close connection))))))))

(deftest after-the-end
  (testing "callbacks set late are called at once, with how it ended"
    (let [channels (ws/events)
          closed (ws/events)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))
                                                    :init (fn [^AsyncChannel ch]
                                                            (.setCloseRingHandler ch (fn [& end] (ws/note closed end))))})
                        {}]
        (ws/with-socket [connection port]
          (ws/send-close connection 4001 "enough")
          (is (= [4001 "enough"] (ws/next-event closed)))
          (let [ch (ws/next-event channels)
                late (atom [])]
            (server/on-close ch #(swap! late conj %))
            (is (= [:unknown] @late))
            (is (false? (server/close ch)))
            (is (= [:unknown] @late))))))))

(deftest once
  (testing "whatever ends it at the same time"
    (let [rounds 200
          events (ws/events)]
      (raw/with-server [port (listening events) {}]
        (dotimes [round rounds]
          (let [connection (ws/connect port)
                [_ ch] (ws/next-event events)
                start (CountDownLatch. 1)
                closers (doall (for [n (range 2)]
                                 (future (raw/await-latch start) (.serverClose ^AsyncChannel ch (+ 4000 (int n))))))
                late (promise)
                registering (future (raw/await-latch start)
                                    (try (.setCloseHandler ^AsyncChannel ch #(deliver late %))
                                         (catch IllegalStateException _ nil)))]
            (.countDown start)
            (if (even? round)
              (ws/send-close connection 1000 "")
              (ws/reset connection))
            (let [results (map deref closers)
                  [keyword code] (endings events)]
              (is (>= 1 (count (filter true? results))))
              (is (= (boolean (some true? results)) (= :server-close keyword)))
              (is (contains? #{4000 4001 1000 1001} code)))
            @registering
            (raw/disconnect connection)))
        (is (ws/no-event? events))))))

(deftest when-the-server-stops
  (testing "each WebSocket is told 1001, and on-close :server-close"
    (let [events (ws/events)
          connections (atom [])]
      (doseq [dispatch raw/dispatches]
        (raw/with-server [port (listening events) {:dispatch dispatch}]
          (reset! connections (vec (repeatedly 3 #(ws/connect port))))
          (dotimes [_ 3] (ws/next-event events)))
        (is (= (repeat 3 [:server-close 1001 ""])
               (map (fn [[_ [_ code reason]]] [:server-close code reason])
                    (let [ends (group-by first (repeatedly 6 #(ws/next-event events)))]
                      (is (= (repeat 3 [:closed :server-close]) (:closed ends)))
                      (map vector (:closed ends) (:ring ends))))))
        (doseq [connection @connections]
          (is (= [1001 ""] (ws/read-close connection)))
          (is (raw/ended? connection))
          (raw/disconnect connection))
        (is (ws/no-event? events))))))

(deftest an-end-that-waits-for-the-pool
  (testing "is heard of although the server stops before the pool has come to it"
    (let [events (ws/events)
          entered (promise)
          go-on (promise)
          pool (Executors/newFixedThreadPool 1)
          websocket (listening events)
          stop (server/run-server (fn [request]
                                    (if (= "/block" (:uri request))
                                      (do (deliver entered true)
                                          (try (raw/await-value go-on) (catch InterruptedException _ nil)))
                                      (websocket request)))
                                  {:port 0 :ip "127.0.0.1" :worker-pool pool})
          port (:local-port (meta stop))]
      (ws/with-socket [connection port]
        (ws/next-event events)
        (raw/with-connection [blocking port]
          (raw/write blocking (raw/request "GET" "/block"))
          (raw/await-value entered)
          (ws/send-close connection 1000 "")
          (is (= [1000 ""] (ws/read-close connection)))
          (is (raw/await-true #(pos? (.size (.getQueue ^ThreadPoolExecutor pool)))))
          (stop :timeout 0)
          (is (= [:normal 1000 ""] (endings events)))
          (deliver go-on true))))))

(deftest a-client-that-is-silent
  (testing "idleMillis of the upgrade"
    (let [events (ws/events)]
      (raw/with-server [port (listening events (.idleMillis UpgradeOptions/DEFAULT 50)) {}]
        (ws/with-socket [connection port]
          (ws/next-event events)
          (is (= [1001 "Idle Timeout"] (ws/read-close connection)))
          (is (= [:going-away 1001 "Idle Timeout"] (endings events)))))))
  (testing ":ws-ping-interval"
    (let [events (ws/events)]
      (raw/with-server [port (listening events) {:ws-ping-interval 500}]
        (ws/with-socket [connection port]
          (ws/next-event events)
          (testing "pings, and a client that answers stays"
            (dotimes [_ 3]
              (let [{:keys [type bytes]} (ws/read-frame connection)]
                (is (= :ping type))
                (ws/send-frame connection :pong bytes)))
            (is (ws/no-event? events)))
          (testing "one that does not is taken for gone"
            (is (= [:going-away 1001 "Idle Timeout"] (endings events)))))))))

(deftest ordered-close
  (testing "the close callback of an upgrade so marked waits for the message callbacks"
    (doseq [[options expected] {(.orderedClose UpgradeOptions/DEFAULT) ["2" "3" :closed]
                                UpgradeOptions/DEFAULT [:closed "2" "3"]}
            dispatch raw/dispatches]
      (testing [dispatch expected]
        (let [events (ws/events)
              entered (promise)
              go-on (promise)]
          (raw/with-server [port (fn [request]
                                   (let [ch ^AsyncChannel (:async-channel request)]
                                     (.setCloseRingHandler ch (fn [_ _] (ws/note events :closed)))
                                     (.setReceiveHandler ch (fn [message]
                                                              (ws/note events message)
                                                              (deliver entered true)
                                                              (raw/await-value go-on)))
                                     (.sendHandshake ch {"Upgrade" "websocket"
                                                         "Connection" "Upgrade"
                                                         "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                                                     options)
                                     {:body ch}))
                            {:dispatch dispatch}]
            (ws/with-socket [connection port]
              (ws/send-text connection "1")
              (raw/await-value entered)
              (ws/write-bytes connection (ws/frame :text "2") (ws/frame :text "3") (ws/frame :close (ws/close-payload 1000 "")))
              (is (= [1000 ""] (ws/read-close connection)))
              (is (= "1" (ws/next-event events)))
              (when (= :closed (first expected))
                (is (= :closed (ws/next-event events))))
              (deliver go-on true)
              (is (= (remove #{:closed} expected) (repeatedly 2 #(ws/next-event events))))
              (when (= :closed (last expected))
                (is (= :closed (ws/next-event events)))))))))))
