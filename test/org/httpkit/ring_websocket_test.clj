(ns org.httpkit.ring-websocket-test
  "Listeners of ring.websocket and what they hear."
  (:require [ring.doubles])
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as websocket]
            [ring.websocket :as ws]
            [ring.websocket.protocols :as protocols]
            [ring.websockets :as websockets :refer [recorder with-listener with-listeners]])
  (:import (java.util.concurrent CountDownLatch)
           (org.httpkit.server ProtocolException)))

(deftype Silent [])

(extend-type Silent
  protocols/Listener
  (on-message [_ socket message] (ws/send socket message)))

(defrecord Recorded [prefix]
  protocols/Listener
  (on-message [_ socket message] (ws/send socket (str prefix message))))

(defn- echo-listeners
  "Every way to write a listener."
  []
  {:map {:on-message (fn [socket message] (ws/send socket message))}
   :object (reify protocols/Listener
             (on-open [_ _])
             (on-message [_ socket message] (ws/send socket message))
             (on-pong [_ _ _])
             (on-error [_ _ _])
             (on-close [_ _ _ _]))
   :object-with-little (reify protocols/Listener
                         (on-message [_ socket message] (ws/send socket message)))
   :extended-type (Silent.)
   :record (->Recorded "")})

(deftest echo
  (doseq [[kind listener] (echo-listeners)]
    (testing kind
      (with-listeners [port listener]
        (websocket/with-socket [socket port]
          (websocket/send-text socket "h\u00e4llo \ud83d\ude00")
          (is (= "h\u00e4llo \ud83d\ude00" (websocket/read-text socket)))
          (when-not (= kind :record)
            (websocket/send-binary socket [1 2 255])
            (is (= [:binary [1 2 -1]] ((juxt :type (comp vec :bytes)) (websocket/read-frame socket)))))
          (websocket/send-frame socket :ping "data")
          (is (= [:pong "data"] ((juxt :type :text) (websocket/read-frame socket))))
          (websocket/send-frame socket :pong "nobody listens")
          (websocket/send-close socket 1000 "")
          (is (= [1000 ""] (websocket/read-close socket))))))))

(deftest listeners-that-want-no-messages
  (testing "as those that only send, or only turn a client away: Ring's map needs none of its keys"
    (doseq [listener [{:on-open (fn [socket] (ws/send socket "tick"))}
                      {:on-open (fn [socket] (ws/send socket "tick")) :on-message nil}
                      (reify protocols/Listener
                        (on-open [_ socket] (ws/send socket "tick")))]]
      (with-listeners [port listener]
        (websocket/with-socket [socket port]
          (is (= "tick" (websocket/read-text socket)))
          (websocket/send-text socket "nobody listens")
          (websocket/send-frame socket :ping "data")
          (is (= [:pong "data"] ((juxt :type :text) (websocket/read-frame socket))))
          (websocket/send-close socket 1000 "")
          (is (= [1000 ""] (websocket/read-close socket))))))))

(deftest order
  (testing "on-open runs on the handler's thread, before every message, however early; on-close comes last"
    (doseq [entry (keys websockets/entries), dispatch raw/dispatches]
      (testing [entry dispatch]
        (let [events (websocket/events)
              sent (CountDownLatch. 1)
              handler-thread (atom nil)
              open (fn [socket]
                     (raw/await-latch sent)
                     (websocket/note events [:on-open (identical? @handler-thread (Thread/currentThread))]))
              start (websockets/entries entry)
              [port stop] (start (fn [_]
                                   (reset! handler-thread (Thread/currentThread))
                                   {::ws/listener (recorder events :on-open open)})
                                 {:dispatch dispatch})]
          (try
            (raw/with-connection [connection port]
              (websocket/write-bytes connection
                                     (websocket/utf8 (websocket/handshake-text "/" {}))
                                     (websocket/frame :text "1")
                                     (websocket/frame :binary [2])
                                     (websocket/frame :close []))
              (.countDown sent)
              (is (= 101 (:status (raw/read-head connection))))
              (is (= [[:on-open true] [:on-message "1"] [:on-message [2]] [:on-close 1005 ""]]
                     (repeatedly 4 #(websocket/next-event events))))
              (is (websocket/no-event? events)))
            (finally (stop)))))))
  (testing "with an asynchronous handler that responds late, too"
    (let [events (websocket/events)
          entered (CountDownLatch. 1)
          sent (CountDownLatch. 1)]
      (with-listener [port (recorder events :on-open (fn [_]
                                                       (.countDown entered)
                                                       (raw/await-latch sent)
                                                       (websocket/note events [:on-open])))
                      {:ring-async? true}]
        (websocket/with-socket [socket port]
          (is (raw/await-latch entered))
          (websocket/send-text socket "1")
          (websocket/send-close socket 1000 "bye")
          (is (= [1000 "bye"] (websocket/read-close socket)))
          (.countDown sent)
          (is (= [[:on-open] [:on-message "1"] [:on-close 1000 "bye"]] (repeatedly 3 #(websocket/next-event events)))))))))

(deftest pings
  (testing "who hears pings answers them"
    (doseq [ping-listener [#(hash-map :on-message (fn [_ _])
                                      :on-ping (fn [socket data] (ws/send socket (str "ping of " (.remaining ^java.nio.ByteBuffer data)))))
                           #(reify
                              protocols/Listener
                              (on-message [_ _ _])
                              protocols/PingListener
                              (on-ping [_ socket data] (ws/send socket (str "ping of " (.remaining ^java.nio.ByteBuffer data)))))]]
      (with-listeners [port (ping-listener)]
        (websocket/with-socket [socket port]
          (websocket/send-frame socket :ping "four")
          (is (= "ping of 4" (websocket/read-text socket)))
          (websocket/send-frame socket :ping "")
          (is (= "ping of 0" (websocket/read-text socket)))))))
  (testing "pongs are heard"
    (let [events (websocket/events)]
      (with-listener [port (recorder events :on-open ws/ping)]
        (websocket/with-socket [socket port]
          (is (= [:ping ""] ((juxt :type :text) (websocket/read-frame socket))))
          (websocket/send-frame socket :pong [1 2])
          (is (= [:on-pong [1 2]] (websocket/next-event events))))))))

(deftest failing-callbacks
  (testing "on-error hears what callbacks throw, and the socket stays open"
    (let [events (websocket/events)
          log (atom [])
          fail (fn [text] (fn [& _] (throw (ex-info text {}))))]
      (with-listeners [port (recorder events
                                      :on-open (fail "open") :on-message (fail "message") :on-ping (fail "ping") :on-pong (fail "pong"))
                       (raw/quiet log)]
        (websocket/with-socket [socket port]
          (websocket/send-text socket "x")
          (websocket/send-frame socket :ping "")
          (websocket/send-frame socket :pong "")
          (websocket/send-close socket 1000 "")
          (is (= (concat (for [text ["open" "message" "ping" "pong"]] [:on-error clojure.lang.ExceptionInfo text])
                         [[:on-close 1000 ""]])
                 (repeatedly 5 #(websocket/next-event events))))))
      (is (= [] @log))))
  (testing "without on-error they are logged"
    (let [log (atom [])
          heard (websocket/events)]
      (with-listener [port {:on-open (fn [_] (throw (ex-info "open" {})))
                            :on-message (fn [_ _] (throw (ex-info "message" {})))
                            :on-close (fn [_ _ _] (websocket/note heard :closed) (throw (ex-info "close" {})))}
                      {:error-logger (fn [message e] (swap! log conj [message (ex-message e)]) (websocket/note heard message))}]
        (websocket/with-socket [socket port :target "/chat?x"]
          (websocket/send-text socket "x")
          ;; The message may be delivered before the handler's thread has logged what on-open threw.
          (is (= #{"GET /chat" "handle websocket frame text of 1 bytes"} (set (repeatedly 2 #(websocket/next-event heard)))))
          (websocket/send-close socket)
          (is (= [:closed "on close handler"] (repeatedly 2 #(websocket/next-event heard))))))
      (is (= #{"open" "message"} (set (map second (butlast @log)))))
      (is (= "close" (second (last @log)))))))

(deftest violations
  (testing "on-error hears what the client did wrong, before on-close"
    (doseq [[code bytes] {1002 (websocket/frame :text "unmasked" :mask? false)
                          1007 (websocket/frame :text [0xff])}]
      (let [events (websocket/events)]
        (with-listeners [port (recorder events) (raw/quiet)]
          (websocket/with-socket [socket port]
            (websocket/write-bytes socket bytes)
            (is (= code (first (websocket/read-close socket))))
            (let [[open [key error-class text] close] (repeatedly 3 #(websocket/next-event events))]
              (is (= [[:on-open] [:on-error ProtocolException] [:on-close code text]] [open [key error-class] close])))))
        (is (websocket/no-event? events))))))

(deftest ends
  (testing "on-close hears the client's code and reason, once"
    (doseq [[expected payload] {[1000 "bye"] (websocket/close-payload 1000 "bye")
                                [4321 ""] (websocket/close-payload 4321 "")
                                [1005 ""] []}]
      (let [events (websocket/events)]
        (with-listeners [port (recorder events)]
          (websocket/with-socket [socket port]
            (websocket/send-frame socket :close payload)
            (websocket/read-frame socket)
            (is (= [[:on-open] (into [:on-close] expected)] (repeatedly 2 #(websocket/next-event events))))))
        (is (websocket/no-event? events)))))
  (testing "the code of a client that vanished: http-kit's under run-server, RFC 6455's under the adapter"
    (doseq [[entry code] {:run-server 1001 :adapter 1006}
            leave [raw/disconnect websocket/reset]]
      (let [events (websocket/events)]
        (with-listener [port (recorder events) {:entry entry}]
          (leave (websocket/connect port))
          (is (= [[:on-open] [:on-close code ""]] (repeatedly 2 #(websocket/next-event events))))))))
  (testing "the server stops"
    (doseq [entry (keys websockets/entries)]
      (let [events (websocket/events)
            socket (with-listener [port (recorder events) {:entry entry}]
                     (let [socket (websocket/connect port)]
                       (is (= [:on-open] (websocket/next-event events)))
                       socket))]
        (is (= [:on-close 1001 ""] (websocket/next-event events)))
        (is (= 1001 (first (websocket/read-close socket))))
        (raw/disconnect socket)
        (is (websocket/no-event? events))))))

(deftest close
  (testing "by the server: both sides hear the same"
    (doseq [[arguments code reason] [[[] 1000 "Normal Closure"]
                                     [[4000 "bye"] 4000 "bye"]
                                     [[1001 nil] 1001 ""]
                                     [[nil nil] 1000 ""]]]
      (let [events (websocket/events)
            close (fn [socket _]
                    (websocket/note events [(apply ws/close socket arguments)
                                            (apply ws/close socket arguments)
                                            (ws/open? socket)]))]
        (with-listeners [port (recorder events :on-message close)]
          (websocket/with-socket [socket port]
            (websocket/send-text socket "x")
            (is (= [code reason] (websocket/read-close socket)))
            (is (= [[:on-open] [true false false] [:on-close code reason]] (repeatedly 3 #(websocket/next-event events))))))
        (is (websocket/no-event? events)))))
  (testing "within on-open: on-close follows"
    (let [events (websocket/events)]
      (with-listeners [port (recorder events :on-open (fn [socket]
                                                        (ws/close socket 4000 "no")
                                                        (websocket/note events [:on-open (ws/open? socket)])))]
        (raw/with-connection [connection port]
          (websocket/write-bytes connection
                                 (websocket/utf8 (websocket/handshake-text "/" {})))
          (is (= 101 (:status (raw/read-head connection))))
          (is (= [4000 "no"] (websocket/read-close connection)))
          (is (= [[:on-open false] [:on-close 4000 "no"]] (repeatedly 2 #(websocket/next-event events))))))
      (is (websocket/no-event? events))))
  (testing "with what no Close frame can carry: an exception, and the socket stays open"
    (let [events (websocket/events)]
      (with-listener [port (recorder events :on-message (fn [socket _]
                                                          (doseq [[code reason] [[1005 ""] [999 ""]]]
                                                            (try
                                                              (ws/close socket code reason)
                                                              (catch IllegalArgumentException e
                                                                (websocket/note events (ex-message e)))))
                                                          (ws/send socket "open")))]
        (websocket/with-socket [socket port]
          (websocket/send-text socket "x")
          (is (= "open" (websocket/read-text socket)))
          (is (= [[:on-open] "Invalid websocket close status: 1005" "Invalid websocket close status: 999"]
                 (repeatedly 3 #(websocket/next-event events))))))))
  (testing "a reason is cut to what a Close frame holds, as by Jetty"
    (with-listener [port {:on-message (fn [socket reason] (ws/close socket 1011 reason))}]
      (doseq [[reason sent] {(apply str (repeat 124 "x")) (apply str (repeat 123 "x"))
                             (apply str (repeat 200 "\u00e9")) (apply str (repeat 61 "\u00e9"))}]
        (websocket/with-socket [socket port]
          (websocket/send-text socket reason)
          (is (= [1011 sent] (websocket/read-close socket))))))))
