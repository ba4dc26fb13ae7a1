(ns org.httpkit.server-websocket-late-test
  "Messages whose thread lost its core on the way to the queue: the engine takes that for a slow callback and goes on, so that
  later messages, and the end, may be there first. That happens once in a million; here the engine's calls are made by hand."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.hidden :as hidden]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (org.httpkit.engine Application)
           (org.httpkit.server AsyncChannel UpgradeOptions)))

(defn- web-socket
  "Returns what the engine's calls for the channel go to."
  [ch]
  (hidden/value ch "webSocket"))

(defn- message
  "A message with this number comes to be run on the pool. Returns what the engine is told."
  [socket number kind text]
  (hidden/call socket "accept" nil (unchecked-int (bit-or (bit-shift-left (long number) Application/MESSAGE_NUMBER_SHIFT) (long kind))) (int 0) text
        (int (count text))))

(defn- text [socket number] (message socket number Application/MESSAGE_TEXT (str number)))

(defn- with-listener
  "Calls `(f ch socket events)` with a channel that notes its messages and its end."
  [options f]
  (let [events (ws/events)
        channels (ws/events)]
    (raw/with-server [port (fn [request]
                             (let [ch ^AsyncChannel (:async-channel request)]
                               (.setReceiveHandler ch #(ws/note events %))
                               (.setCloseHandler ch #(ws/note events %))
                               (.sendHandshake ch {"Upgrade" "websocket"
                                                   "Connection" "Upgrade"
                                                   "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                                               options)
                               (ws/note channels ch)
                               {:body ch}))
                      {:dispatch :pool}]
      (ws/with-socket [_ port]
        (let [ch (ws/next-event channels)]
          (f ch (web-socket ch) events))))))

(defn- registered
  "Returns how many WebSockets the application of the channel knows."
  [ch]
  (count (hidden/value ch "application" "webSockets")))

(deftest late-messages
  (testing "are waited for"
    (with-listener UpgradeOptions/DEFAULT
      (fn [_ socket events]
        (doseq [number [2 1 4]] (is (= Application/GO_ON (text socket number))))
        (is (ws/no-event? events))
        (text socket 0)
        (is (= ["0" "1" "2"] (repeatedly 3 #(ws/next-event events))))
        (text socket 3)
        (is (= ["3" "4"] (repeatedly 2 #(ws/next-event events))))
        (is (ws/no-event? events)))))
  (testing "whatever number they have: it is counted in 24 bits"
    (with-listener UpgradeOptions/DEFAULT
      (fn [_ socket events]
        (hidden/replace! socket "nextNumber" (int 0xfffffe))
        (doseq [number [1 0 0xffffff 0xfffffe]] (text socket number))
        (is (= ["16777214" "16777215" "0" "1"] (repeatedly 4 #(ws/next-event events))))))))

(deftest more-than-may-wait-before-a-late-message
  (testing "is held once, as it is resumed once"
    (with-listener UpgradeOptions/DEFAULT
      (fn [_ socket events]
        (let [large (apply str (repeat 1048576 "x"))]
          (is (= Application/HOLD (message socket 1 Application/MESSAGE_TEXT large)))
          (is (= Application/GO_ON (text socket 0)))
          (is (= ["0" large] (repeatedly 2 #(ws/next-event events)))))))))

(deftest what-nobody-wants-before-a-late-message
  (testing "is dropped with it: no thread of the pool may be free to find that out"
    (let [channels (ws/events)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))}) {:dispatch :pool}]
        (ws/with-socket [_ port]
          (let [ch (ws/next-event channels)
                socket (web-socket ch)]
            (is (raw/await-true #(not (hidden/value socket "gated"))))
            (is (= Application/HOLD (message socket 1 Application/MESSAGE_TEXT (apply str (repeat 1048576 "x")))))
            (text socket 2)
            (locking socket
              (is (= Application/GO_ON (text socket 0)))
              (is (= [nil nil false 0 false] (map #(hidden/value socket %) ["first" "early" "busy" "pending" "held"]))))))))))

(deftest a-violation-before-a-late-message
  (with-listener UpgradeOptions/DEFAULT
    (fn [_ socket events]
      (is (= Application/HOLD (message socket 1 Application/MESSAGE_BROKEN "")))
      (text socket 0)
      (is (= "0" (ws/next-event events)))
      (text socket 2)
      (is (= "2" (ws/next-event events))))))

(deftest an-end-before-a-late-message
  (testing "is heard at once, and the message all the same"
    (with-listener UpgradeOptions/DEFAULT
      (fn [ch socket events]
        (text socket 1)
        (hidden/call socket "closed" (int Application/CLOSED_CLIENT) (int 1000) "" (int 2))
        (is (= :normal (ws/next-event events)))
        (is (= 1 (registered ch)))
        (text socket 0)
        (is (= ["0" "1"] (repeatedly 2 #(ws/next-event events))))
        (is (= 0 (registered ch))))))
  (testing "waits for it where the close callback is to be the last"
    (with-listener (.orderedClose UpgradeOptions/DEFAULT)
      (fn [ch socket events]
        (text socket 1)
        (hidden/call socket "closed" (int Application/CLOSED_CLIENT) (int 1000) "" (int 2))
        (is (ws/no-event? events))
        (text socket 0)
        (is (= ["0" "1" :normal] (repeatedly 3 #(ws/next-event events))))
        (is (= 0 (registered ch))))))
  (testing "also where that is a violation, whose connection a send found broken"
    (with-listener (.orderedClose UpgradeOptions/DEFAULT)
      (fn [ch socket events]
        (hidden/call socket "closed" (int Application/CLOSED_VIOLATION) (int 1002) "" (int 1))
        (is (ws/no-event? events))
        (message socket 0 Application/MESSAGE_BROKEN "")
        (is (= :protocol-error (ws/next-event events)))
        (is (= 0 (registered ch)))))))

(deftest a-message-that-could-not-be-made
  (testing "is logged, and the client told that it is lost; those behind it do not wait"
    (let [log (ws/events)
          events (ws/events)
          channels (ws/events)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))
                                                    :on-receive (fn [_ message] (ws/note events message))
                                                    :on-close (fn [_ status] (ws/note events status))})
                        {:dispatch :pool :error-logger (fn [message exception] (ws/note log [message (class exception)]))}]
        (ws/with-socket [connection port]
          (let [socket (web-socket (ws/next-event channels))]
            (hidden/call socket "accept" nil (int Application/MESSAGE_TEXT) (int 0) (OutOfMemoryError.) (int 100))
            (is (= [1011 "Message lost"] (ws/read-close connection)))
            (is (= ["handle websocket frame text of 100 bytes" OutOfMemoryError] (ws/next-event log)))
            (is (= :server-close (ws/next-event events)))))))))
