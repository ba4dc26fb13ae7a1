(ns org.httpkit.server-websocket-violation-test
  "Clients that break RFC 6455: the close code each of them gets, and what the application hears of it."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (org.httpkit.server AsyncChannel ProtocolException UpgradeOptions)))

(def ^:private violations
  "[description frames code text keyword]"
  [["unmasked" [(ws/frame :text "x" :mask? false)] 1002 "unmasked client to server frame" :protocol-error]
   ["RSV1" [(ws/frame :text "x" :rsv 4)] 1002 "unsupported websocket extension data" :protocol-error]
   ["RSV3" [(ws/frame :ping "x" :rsv 1)] 1002 "unsupported websocket extension data" :protocol-error]
   ["opcode 3" [(ws/frame 3 "x")] 1002 "unsupported websocket opcode: 3" :protocol-error]
   ["opcode 15" [(ws/frame 15 "x")] 1002 "unsupported websocket opcode: 15" :protocol-error]
   ["fragmented ping" [(ws/frame :ping "x" :fin? false)] 1002 "fragmented websocket control frame" :protocol-error]
   ["long ping" [(ws/frame :ping (byte-array 126))] 1002 "websocket control frame payload is too large" :protocol-error]
   ["continuation of nothing" [(ws/frame :continuation "x")] 1002 "unexpected websocket continuation frame" :protocol-error]
   ["text in a text" [(ws/frame :text "x" :fin? false) (ws/frame :text "y")] 1002
    "new data frame while fragmented message is open" :protocol-error]
   ["Close of one byte" [(ws/frame :close [3])] 1002 "Invalid one-byte websocket close payload" :protocol-error]
   ["Close with 999" [(ws/frame :close (ws/close-payload 999 ""))] 1002 "Invalid websocket close status: 999" :protocol-error]
   ["Close with 1005" [(ws/frame :close (ws/close-payload 1005 ""))] 1002 "Invalid websocket close status: 1005" :protocol-error]
   ["Close with 2000" [(ws/frame :close (ws/close-payload 2000 ""))] 1002 "Invalid websocket close status: 2000" :protocol-error]
   ["Close with 5000" [(ws/frame :close (ws/close-payload 5000 ""))] 1002 "Invalid websocket close status: 5000" :protocol-error]
   ["text that is not UTF-8" [(ws/frame :text [0xc3 0x28])] 1007 "Invalid UTF-8 websocket payload" :invalid-payload-data]
   ["text that ends within a character" [(ws/frame :text [0xe2 0x82])] 1007 "Invalid UTF-8 websocket payload"
    :invalid-payload-data]
   ["a reason that is not UTF-8" [(ws/frame :close [3 -24 0xff])] 1007 "Invalid UTF-8 websocket payload" :invalid-payload-data]
   ["too long" [(ws/frame :text (byte-array 101))] 1009 "Max payload length 100, got: 101" :message-too-big]
   ["too long, declared only" [(ws/frame :text "" :length 101)] 1009 "Max payload length 100, got: 101" :message-too-big]
   ["too long in parts" [(ws/frame :binary (byte-array 100) :fin? false) (ws/frame :continuation "x")] 1009
    "Max payload length 100, got: 101" :message-too-big]])

(deftest violations-close-the-connection
  (let [events (ws/events)
        log #(ws/note events [:log %1 (class %2) (ex-message %2) (.code ^ProtocolException %2)])]
    (doseq [dispatch raw/dispatches]
      (raw/with-server [port (fn [request]
                               (.setCloseRingHandler ^AsyncChannel (:async-channel request)
                                                     (fn [code reason] (ws/note events [:ring code reason])))
                               (server/as-channel request {:on-close (fn [_ status] (ws/note events [:closed status]))
                                                           :on-receive (fn [_ message] (ws/note events [:heard message]))}))
                        {:max-ws 100
                         :dispatch dispatch
                         :warn-logger log
                         :error-logger (fn [& entry] (ws/note events entry))
                         :event-logger #(when (string/includes? % ".ws.") (ws/note events [:event %]))}]
        (doseq [[description frames code text keyword] violations]
          (testing [dispatch description]
            (ws/with-socket [connection port]
              (apply ws/write-bytes connection (concat frames [(ws/frame :text "never")]))
              (let [{:keys [type bytes] actual :code} (ws/read-frame connection)]
                (is (= [:close code 2] [type actual (alength ^bytes bytes)]) "no reason"))
              (is (raw/ended? connection)))
            (is (= [[:log nil ProtocolException text code]
                    [:event "httpkit.server.ws.decode.error"]
                    [:closed keyword]
                    [:ring code text]]
                   (repeatedly 4 #(ws/next-event events))))
            (is (ws/no-event? events))))))))

(deftest lengths-that-are-not-minimal
  (raw/with-server [port #(server/as-channel % {}) (raw/quiet)]
    (doseq [[payload width] [["x" 16] [(byte-array 125) 16] ["x" 64] [(byte-array 65535) 64]]]
      (ws/with-socket [connection port]
        (ws/send-frame connection :binary payload :width width)
        (is (= [1002 ""] (ws/read-close connection)))
        (is (raw/ended? connection))))))

(deftest a-large-frame-is-refused-by-its-head
  (testing "before any of it is there"
    (raw/with-server [port #(server/as-channel % {}) (raw/quiet)]
      (ws/with-socket [connection port]
        (ws/write-bytes connection (java.util.Arrays/copyOf (ws/frame :binary "" :length 0x7fffffffffffffff) 10))
        (is (= [1009 ""] (ws/read-close connection)))))))

(deftest the-limit
  (testing "is met by a message of exactly its size, in whatever parts; control frames do not count"
    (raw/with-servers [port (fn [request] (server/as-channel request {:on-receive server/send!})) {:max-ws 4}]
      (ws/with-socket [connection port]
        (ws/send-text connection "1234")
        (is (= "1234" (ws/read-text connection)))
        (ws/write-bytes connection (ws/frame :text "12" :fin? false) (ws/frame :ping "12345") (ws/frame :continuation "34"))
        (is (= "12345" (:text (ws/read-frame connection))))
        (is (= "1234" (ws/read-text connection))))))
  (testing "of one channel"
    (raw/with-server [port (fn [request]
                             (let [ch ^AsyncChannel (:async-channel request)]
                               (.setReceiveHandler ch #(server/send! ch %))
                               (.sendHandshake ch {"Upgrade" "websocket"
                                                   "Connection" "Upgrade"
                                                   "Sec-WebSocket-Accept" (server/websocket-handshake-check request)}
                                               (.maxMessage UpgradeOptions/DEFAULT 2))
                               {:body ch}))
                      (raw/quiet)]
      (ws/with-socket [connection port]
        (ws/send-text connection "12")
        (is (= "12" (ws/read-text connection)))
        (ws/send-text connection "123")
        (is (= [1009 ""] (ws/read-close connection)))))
    (is (thrown? IllegalArgumentException (.maxMessage UpgradeOptions/DEFAULT -1)))
    (is (thrown? IllegalArgumentException (.idleMillis UpgradeOptions/DEFAULT -1)))))

(deftest the-error-handler
  (testing "hears of a violation before the end, and does not keep it out of the log"
    (let [events (ws/events)
          log (atom [])]
      (raw/with-server [port (fn [request]
                               (.setErrorHandler ^AsyncChannel (:async-channel request)
                                                 #(ws/note events [(.code ^ProtocolException %) (ex-message %)]))
                               (server/as-channel request {:on-close (fn [_ status] (ws/note events status))}))
                        (raw/quiet log)]
        (ws/with-socket [connection port]
          (ws/send-frame connection :text [0xff])
          (is (= [1007 ""] (ws/read-close connection))))
        (is (= [[1007 "Invalid UTF-8 websocket payload"] :invalid-payload-data] (repeatedly 2 #(ws/next-event events))))
        (is (= [nil] (map first @log)))))))

(deftest a-violation-concerns-one-connection
  (raw/with-server [port (fn [request] (server/as-channel request {:on-receive server/send!})) (raw/quiet)]
    (ws/with-socket [good port]
      (dotimes [_ 20]
        (ws/with-socket [bad port]
          (ws/send-frame bad :text "x" :mask? false)
          (is (= [1002 ""] (ws/read-close bad)))))
      (ws/send-text good "x")
      (is (= "x" (ws/read-text good))))))
