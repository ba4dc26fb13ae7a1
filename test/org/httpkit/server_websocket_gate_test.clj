(ns org.httpkit.server-websocket-gate-test
  "WebSockets whose messages nobody wants while the handler that opened them still runs, as one that pushes in a loop does."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (org.httpkit.server AsyncChannel UpgradeOptions)))

(def ^:private message-length (* 64 1024))

(def ^:private messages
  "Three times what may wait for its callback."
  48)

(defn- flood [connection]
  (dotimes [n messages]
    (ws/send-binary connection (byte-array message-length (unchecked-byte n)))))

(defn- push
  "Does what a loop of `send!` does: goes on until the channel is closed, by the server's stop if by nothing else."
  [ch]
  (while (server/open? ch)
    (Thread/yield)))

(defn- notes [events]
  (fn [& arguments] (ws/note events (last arguments))))

(def ^:private handlers
  "Functions of a queue of events that return handlers without on-receive; what they are run with."
  {:as-channel [(fn [events] #(server/as-channel % {:on-open push :on-close (notes events)})) {}]
   :one-thread [(fn [events] #(server/as-channel % {:on-open push :on-close (notes events)}))
                {:dispatch :pool :n-threads 1 :allow-virtual? false}]
   :with-channel [(fn [events]
                    #(server/with-channel % ch
                       (server/on-close ch (notes events))
                       (push ch))) {}]
   :with-channel-on-one-thread [(fn [events]
                                  #(server/with-channel % ch
                                     (server/on-close ch (notes events))
                                     (push ch)))
                                {:dispatch :pool :n-threads 1 :allow-virtual? false}]
   :without-respond [(fn [events] (fn [request _ _] (server/as-channel request {:on-close (notes events)}))) {:ring-async? true}]
   :handshake-without-respond [(fn [events]
                                 (fn [request _ _]
                                   (server/on-close (:async-channel request) (notes events))
                                   (server/send-websocket-handshake! (:async-channel request) request)))
                               {:ring-async? true}]})

(def ^:private leaves
  {:normal #(ws/send-close % 1000 "")
   :going-away ws/reset})

(deftest a-flood-that-nobody-wants
  (doseq [[kind [handler options]] handlers
          [status leave] leaves]
    (testing [kind status]
      (let [events (ws/events)]
        (raw/with-server [port (handler events) options]
          (ws/with-socket [connection port]
            (let [flooding (future (flood connection))]
              (is (not= :timeout (deref flooding raw/patience-millis :timeout)) "is dropped, and so is TCP's part of it")
              (when (future-done? flooding)
                (ws/send-frame connection :ping "still read")
                (is (= "still read" (:text (ws/read-frame connection))))
                (leave connection)
                (is (= status (ws/next-event events)))))))))))

(deftest pings-while-the-handler-runs
  (testing "reach on-ping where as-channel has no on-receive"
    (let [events (ws/events)]
      (raw/with-servers [port #(server/as-channel % {:on-open push
                                                     :on-ping (fn [_ data] (ws/note events (String. ^bytes data)))})
                         {}]
        (ws/with-socket [connection port]
          (ws/write-bytes connection (ws/frame :text "dropped") (ws/frame :ping "p"))
          (is (= "p" (ws/next-event events)))))))
  (testing "and are not dropped with the messages of a flood"
    (let [events (ws/events)]
      (raw/with-servers [port #(server/with-channel % ch
                                 (server/on-ping ch (fn [data] (ws/note events (String. ^bytes data))))
                                 (push ch))
                         {}]
        (ws/with-socket [connection port]
          (let [flooding (future (ws/send-frame connection :ping "1")
                                 (flood connection)
                                 (ws/send-frame connection :ping "2"))]
            (is (= ["1" "2"] (repeatedly 2 #(ws/next-event events))))
            (is (not= :timeout (deref flooding raw/patience-millis :timeout)))))))))

(deftest a-flood-before-a-callback-that-is-to-come
  (testing "of Ring's listeners, which get theirs in any case, waits for it"
    (let [channels (ws/events)
          heard (ws/events)]
      (raw/with-stats [port stats (fn [request _ _]
                                    (let [ch ^AsyncChannel (:async-channel request)]
                                      (.sendHandshake ch {"Upgrade" "websocket"
                                                          "Connection" "Upgrade"
                                                          "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                                                      (.orderedClose UpgradeOptions/DEFAULT))
                                      (ws/note channels ch)))
                       {:ring-async? true}]
        (ws/with-socket [connection port]
          (let [flooding (future (flood connection))]
            (is (raw/await-true #(< (* 1024 1024) (long (:bytes-in (stats))))))
            (server/on-receive (ws/next-event channels) #(ws/note heard (aget ^bytes % 0)))
            (is (= (map unchecked-byte (range messages)) (repeatedly messages #(ws/next-event heard))))
            (is (not= :timeout (deref flooding raw/patience-millis :timeout)))))))))
