(ns ring-jetty-ws.ws-test
  "The WebSockets of ring-jetty-ws."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as client]
            [ring-jetty-ws.ws :as ws])
  (:import (java.io IOException)
           (java.nio ByteBuffer)
           (java.util.concurrent CountDownLatch LinkedBlockingQueue TimeUnit)
           (org.httpkit.server AsyncChannel)))

(defn- record [queue & event]
  (client/note queue (vec event)))

(defn- recording
  "Returns callbacks that record what they get, but for the socket."
  [queue]
  {:on-connect (fn [socket] (record queue :connect (ws/connected? socket)))
   :on-text (fn [_ text] (record queue :text text))
   :on-binary (fn [_ bytes offset length] (record queue :binary (class bytes) offset length))
   :on-close (fn [socket code reason] (record queue :close code reason (ws/connected? socket)))
   :on-error (fn [_ failure] (record queue :error (class failure)))})

(defn- data
  "Returns the type and bytes of the next frame."
  [connection]
  (let [{:keys [type bytes]} (client/read-frame connection)]
    [type (seq bytes)]))

(defn- application
  "Returns a Ring handler with WebSockets of these callbacks."
  [callbacks & [options]]
  (ws/wrap-configurator (constantly {:status 200 :body "ring"})
                        (ws/configurator (constantly {:status 101 :ws-handlers callbacks}) (or options {}))))

(def ^:private echo
  {:on-text (fn [socket text] (ws/send! socket text))
   :on-binary (fn [socket bytes offset length] (ws/send-bin! socket (ByteBuffer/wrap bytes offset length)))})

(deftest messages
  (raw/with-servers [port (application echo) {}]
    (client/with-socket [connection port]
      (testing "a text comes back"
        (client/send-text connection "größer")
        (is (= "größer" (client/read-text connection))))
      (testing "a binary message comes back through :on-binary, its offset and length"
        (client/send-binary connection (byte-array [1 2 3]))
        (is (= [:binary [1 2 3]] (data connection))))
      (testing "a message in fragments is joined"
        (client/send-frame connection :text "one, " :fin? false)
        (client/send-frame connection :continuation "two, " :fin? false)
        (client/send-frame connection :continuation "three")
        (is (= "one, two, three" (client/read-text connection))))
      (testing "a ping is answered"
        (client/send-frame connection :ping (byte-array [7 8]))
        (is (= [:pong [7 8]] (data connection)))))))

(deftest opening
  (let [queue (client/events)
        callbacks (assoc (recording queue)
                         :on-connect (fn [socket]
                                       (record queue :connect (ws/connected? socket))
                                       (ws/send! socket "welcome")))]
    (raw/with-servers [port (application callbacks) {}]
      (client/with-socket [connection port]
        (testing ":on-connect sees the socket connected"
          (is (= [:connect true] (client/next-event queue))))
        (testing "what :on-connect sends arrives first"
          (is (= "welcome" (client/read-text connection))))
        (client/send-close connection 1000 "")
        (is (= [:close 1000 nil false] (client/next-event queue)))))))

(deftest no-message-before-on-connect-has-returned
  (let [queue (client/events)
        go-on (promise)
        callbacks (assoc (recording queue) :on-connect (fn [_] (raw/await-value go-on) (record queue :connected)))]
    (raw/with-server [port (application callbacks) {:dispatch :pool}]
      (client/with-socket [connection port]
        (client/send-text connection "early")
        (client/send-frame connection :ping (byte-array 0))
        (is (= [:pong nil] (data connection)))
        (deliver go-on true)
        (is (= [[:connected] [:text "early"]] [(client/next-event queue) (client/next-event queue)]))))))

(deftest leaving-during-the-handshake
  (testing "no callback hears of a WebSocket that was never open"
    (let [queue (client/events)
          request (promise)
          gone (promise)
          answered (promise)
          ws-handler (fn [_]
                       (raw/await-value gone)
                       (raw/await-client-gone @request)
                       {:ws-handlers (recording queue)})
          handler (ws/wrap-configurator identity (ws/configurator ws-handler))]
      (raw/with-server [port (fn [given]
                               (deliver request given)
                               (let [response (handler given)]
                                 (deliver answered true)
                                 response)) {}]
        (raw/with-connection [connection port]
          (raw/write connection (client/handshake-text "/" nil))
          (raw/await-value request)
          (client/reset connection))
        (deliver gone true)
        (is (true? (raw/await-value answered))))
      (is (client/no-event? queue)))))

(deftest closing-by-the-client
  (let [queue (client/events)]
    (raw/with-servers [port (application (dissoc (recording queue) :on-connect)) {}]
      (testing "code and reason"
        (client/with-socket [connection port]
          (client/send-close connection 1000 "bye")
          (is (= [1000 "bye"] (client/read-close connection)))
          (is (= [:close 1000 "bye" false] (client/next-event queue)))))
      (testing "without a code"
        (client/with-socket [connection port]
          (client/send-close connection)
          (is (= [:close 1005 nil false] (client/next-event queue)))))
      (testing "without a Close frame"
        (client/with-socket [connection port]
          (client/reset connection)
          (is (= [:close 1006 "Disconnected" false] (client/next-event queue))))
        (client/with-socket [connection port]
          (raw/half-close connection)
          (is (= [:close 1006 "Disconnected" false] (client/next-event queue)))))
      (is (client/no-event? queue)))))

(deftest messages-before-the-clients-close
  (testing "are delivered, however long the callback before them takes"
    (let [queue (client/events)
          go-on (promise)
          callbacks (assoc (recording queue)
                           :on-connect nil
                           :on-text (fn [_ text] (raw/await-value go-on) (record queue :text text)))]
      (raw/with-server [port (application callbacks) {:dispatch :pool}]
        (client/with-socket [connection port]
          (client/write-bytes connection (client/frame :text "first") (client/frame :text "last")
                              (client/frame :close (client/close-payload 1000 "")))
          (is (= [1000 ""] (client/read-close connection)))
          (deliver go-on true)
          (is (= [[:text "first"] [:text "last"] [:close 1000 nil false]] (repeatedly 3 #(client/next-event queue))))))))
  (testing "but not after close!"
    (let [queue (client/events)
          go-on (promise)
          callbacks (assoc (recording queue)
                           :on-connect nil
                           :on-text (fn [socket text]
                                      (raw/await-value go-on)
                                      (record queue :text text)
                                      (ws/close! socket)))]
      (raw/with-server [port (application callbacks) {:dispatch :pool}]
        (client/with-socket [connection port]
          (client/write-bytes connection (client/frame :text "first") (client/frame :text "last"))
          (client/send-frame connection :ping (byte-array 0))
          (is (= [:pong nil] (data connection)))
          (deliver go-on true)
          (is (= [[:text "first"] [:close 1000 nil false]] (repeatedly 2 #(client/next-event queue))))
          (is (client/no-event? queue)))))))

(deftest closing-by-the-server
  (let [queue (client/events)
        long-reason (apply str (repeat 100 "ä"))
        closers {"plain" ws/close!
                 "coded" #(ws/close! % 4001 "enough")
                 "long" #(ws/close! % 1000 long-reason)
                 "no reason" #(ws/close! % 1000 nil)
                 "twice" (fn [socket] (ws/close! socket) (record queue :returned (ws/close! socket 4001 "again")))
                 "wrong" (fn [socket]
                           (doseq [code [1005 1006 1015 999]]
                             (record queue :threw code (try (ws/close! socket code "")
                                                            (catch IllegalArgumentException _ true)))))}
        callbacks (assoc (recording queue) :on-connect nil :on-text (fn [socket text] ((closers text) socket)))
        close-frame (fn [port text]
                      (client/with-socket [connection port]
                        (client/send-text connection text)
                        (client/read-close connection)))]
    (raw/with-servers [port (application callbacks) {}]
      (testing "the client sees code and reason, :on-close is called once"
        (is (= [1000 ""] (close-frame port "plain")))
        (is (= [:close 1000 nil false] (client/next-event queue)))
        (is (= [4001 "enough"] (close-frame port "coded")))
        (is (= [:close 4001 "enough" false] (client/next-event queue)))
        (is (= [1000 ""] (close-frame port "no reason")))
        (is (= [:close 1000 nil false] (client/next-event queue))))
      (testing "a reason is cut to what a Close frame takes"
        (let [cut (subs long-reason 0 61)]
          (is (= [1000 cut] (close-frame port "long")))
          (is (= [:close 1000 cut false] (client/next-event queue)))))
      (testing "a second close! does nothing"
        (is (= [1000 ""] (close-frame port "twice")))
        (is (= [[:returned nil] [:close 1000 nil false]] [(client/next-event queue) (client/next-event queue)])))
      (testing "codes that may not be sent are refused"
        (client/with-socket [connection port]
          (client/send-text connection "wrong")
          (is (= (for [code [1005 1006 1015 999]] [:threw code true]) (repeatedly 4 #(client/next-event queue))))
          (client/send-close connection 1000 "")
          (is (= [:close 1000 nil false] (client/next-event queue)))))
      (is (client/no-event? queue)))))

(deftest callbacks-that-throw
  (let [queue (client/events)
        throwing (fn [& _] (throw (IllegalStateException. "no")))
        told [[:error IllegalStateException] [:close 1011 "IllegalStateException" false]]]
    (testing ":on-error, and 1011 with the name of the exception"
      (raw/with-servers [port (application (assoc (recording queue) :on-connect nil :on-text throwing)) {}]
        (client/with-socket [connection port]
          (client/send-text connection "x")
          (is (= [1011 "IllegalStateException"] (client/read-close connection)))
          (is (= told [(client/next-event queue) (client/next-event queue)])))))
    (testing "in :on-connect"
      (raw/with-server [port (application (assoc (recording queue) :on-connect throwing)) {}]
        (client/with-socket [connection port]
          (is (= [1011 "IllegalStateException"] (client/read-close connection)))
          (is (= told [(client/next-event queue) (client/next-event queue)])))))
    (testing "without :on-error the log has it"
      (let [log (atom [])
            callbacks (-> (recording queue) (dissoc :on-error :on-connect) (assoc :on-text throwing))]
        (raw/with-server [port (application callbacks) (raw/quiet log)]
          (client/with-socket [connection port]
            (client/send-text connection "x")
            (is (= [:close 1011 "IllegalStateException" false] (client/next-event queue)))
            (is (= [IllegalStateException] (map (comp class second) @log)))))))))

(deftest warnings
  (let [log (atom [])
        throwing (fn [message] (fn [& _] (throw (IllegalStateException. ^String message))))
        handler (ws/wrap-configurator identity
                                      (ws/configurator (fn [{:keys [uri]}]
                                                         (when (= "/" uri)
                                                           {:ws-handlers {:on-text (throwing "first")
                                                                          :on-error (throwing "second")}}))))]
    (raw/with-server [port handler (raw/quiet log)]
      (testing "of callbacks and of the handshake handler go to the server's :warn-logger"
        (client/with-socket [connection port]
          (client/send-text connection "x")
          (is (= 1011 (first (client/read-close connection))))
          (is (= [[":on-error threw" "second"]] (map (juxt first (comp ex-message second)) @log))))
        (reset! log [])
        (raw/with-connection [connection port]
          (is (= 403 (:status (client/handshake connection :target "/refused"))))
          (is (= [["GET /refused: the handshake handler returned no :ws-handlers" nil]]
                 (for [[message failure] @log] [(first (string/split message #",")) failure]))))))))

(deftest what-the-client-does-wrong
  (let [queue (client/events)
        callbacks (assoc (recording queue) :on-connect nil)
        code (fn [connection] (first (client/read-close connection)))
        told (fn [] (let [[error [_ code]] [(client/next-event queue) (client/next-event queue)]] [(first error) code]))]
    (raw/with-servers [port (application callbacks {:max-binary-size 10}) {}]
      (testing "a text of 65536 bytes passes, one of 65537 is too large"
        (client/with-socket [connection port]
          (client/send-text connection (apply str (repeat 65536 "x")))
          (is (= 65536 (count (second (client/next-event queue)))))
          (client/send-text connection (apply str (repeat 65537 "x")))
          (is (= 1009 (code connection)))
          (is (= [:error 1009] (told)))))
      (testing "bytes count, and each type has its own limit"
        (client/with-socket [connection port]
          (client/send-binary connection (byte-array 11))
          (is (= [1009 "Binary message size [11] exceeds maximum size [10]"] (client/read-close connection)))
          (is (= [:error 1009] (told)))))
      (testing "bad UTF-8, and a frame that is none"
        (client/with-socket [connection port]
          (client/send-text connection (byte-array [-1]))
          (is (= 1007 (code connection)))
          (is (= [:error 1007] (told))))
        (client/with-socket [connection port]
          (client/send-frame connection :continuation "x")
          (is (= 1002 (code connection)))
          (is (= [:error 1002] (told))))))))

(deftest idle-timeout
  (testing "by data and by a policy"
    (let [queue (client/events)
          callbacks (select-keys (recording queue) [:on-close])]
      (doseq [options [{:idle-timeout-ms 50}
                       {:ws-factory-configurator (fn [factory] (.setIdleTimeout (.getPolicy factory) 50))}]]
        (raw/with-server [port (application callbacks options) {}]
          (client/with-socket [connection port]
            (is (= [1001 "Idle Timeout"] (client/read-close connection)))
            (is (= [:close 1001 "Idle Timeout" false] (client/next-event queue)))))))))

(deftest limits
  (let [limits #(:limits (ws/configurator identity %))]
    (testing "Jetty's, unless told otherwise"
      (is (= {:idle-timeout-ms 300000 :max-text-size 65536 :max-binary-size 65536 :write-timeout-ms 60000} (limits {}))))
    (testing "every setter of the policy, called by reflection"
      (is (= {:idle-timeout-ms 1 :max-text-size 2 :max-binary-size 3 :write-timeout-ms 4}
             (limits {:max-text-size 9
                      :ws-factory-configurator
                      #(doto (.getPolicy %)
                         (.setIdleTimeout 1) (.setMaxTextMessageSize 2) (.setMaxBinaryMessageSize 3)
                         (.setAsyncWriteTimeout 4) (.setMaxTextMessageBufferSize 5)
                         (.setMaxBinaryMessageBufferSize 6) (.setInputBufferSize 7))}))))
    (testing "nil and below 0 are no limit"
      (is (= [0 0] ((juxt :idle-timeout-ms :max-text-size) (limits {:idle-timeout-ms nil :max-text-size -1})))))
    (testing "what Jetty alone can do"
      (doseq [call [#(.register % String) #(.getExtensionFactory %) #(.setCreator % nil)]]
        (is (thrown? UnsupportedOperationException (limits {:ws-factory-configurator call})))))
    (testing "a wrong option names itself and what is accepted"
      (is (thrown-with-msg? IllegalArgumentException #":idle-timeout of .* it takes :idle-timeout-ms, :max-binary-size"
                            (limits {:idle-timeout 1})))
      (is (thrown-with-msg? IllegalArgumentException #":max-text-size must be a whole number, got \"1\""
                            (limits {:max-text-size "1"}))))))

(deftest concurrent-senders
  (testing "64 threads, and every message arrives whole"
    (let [socket (promise)
          text (fn [sender] (apply str (repeat 2000 (char (+ 33 sender)))))]
      (raw/with-server [port (application {:on-connect #(deliver socket %)}) {}]
        (client/with-socket [connection port]
          (let [start (CountDownLatch. 1)
                senders (mapv (fn [sender]
                                (future (raw/await-latch start)
                                        (dotimes [_ 10] (ws/send! @socket (text sender)))))
                              (range 64))]
            (.countDown start)
            (is (= (into {} (for [sender (range 64)] [(text sender) 10]))
                   (frequencies (repeatedly 640 #(client/read-text connection)))))
            (run! deref senders)))))))

(deftest send-after-the-end
  (testing "send! on a closed socket throws"
    (let [socket (promise)
          closed (promise)]
      (raw/with-server [port (application {:on-connect #(deliver socket %) :on-close #(deliver closed %&)}) {}]
        (client/with-socket [connection port]
          (client/send-close connection 1000 ""))
        (raw/await-value closed)
        (is (thrown-with-msg? IOException #"The WebSocket is closed" (ws/send! @socket "late")))
        (is (thrown? IOException (ws/send-bin! @socket (byte-array 1))))
        (is (nil? (ws/close! @socket)))
        (is (false? (ws/connected? @socket)))))))

(def ^:private piece
  "More of these than sockets and the window hold: the sender has to wait."
  (apply str (repeat (* 256 1024) "x")))

(deftest senders-wait-for-the-client
  (let [socket (promise)]
    (raw/with-server [port (application {:on-connect #(deliver socket %)} {:write-timeout-ms 20000}) {}]
      (testing "send! blocks while the client does not read, and goes on when it does"
        (client/with-socket [connection port :receive-buffer 4096]
          (let [socket (raw/await-value socket)
                sent (atom 0)
                sender (future (dotimes [_ 200] (ws/send! socket piece) (swap! sent inc)))]
            (is (= :blocked (deref sender 500 :blocked)))
            (is (< @sent 200))
            (is (= #{piece} (set (repeatedly 200 #(client/read-text connection)))))
            (is (nil? (deref sender raw/patience-millis :blocked)))))))))

(deftest senders-do-not-wait-for-ever
  (let [failure (promise)
        callbacks {:on-connect (fn [socket]
                                 (future
                                   (try
                                     (loop [] (ws/send! socket piece) (recur))
                                     (catch Throwable e (deliver failure e)))))}]
    (raw/with-server [port (application callbacks {:write-timeout-ms 50}) {}]
      (client/with-socket [_ port :receive-buffer 4096]
        (is (instance? IOException (raw/await-value failure)))))))

(deftest binary-data
  (testing "of a ByteBuffer what is between position and limit, which is consumed"
    (let [buffers (promise)
          direct (doto (ByteBuffer/allocateDirect 3) (.put (byte-array [7 8 9])) (.flip))
          sliced (.slice (doto (ByteBuffer/wrap (byte-array (range 10))) (.position 2) (.limit 6)))
          callbacks {:on-connect (fn [socket]
                                   (ws/send-bin! socket sliced)
                                   (ws/send-bin! socket direct)
                                   (ws/send-bin! socket (byte-array [1]))
                                   (deliver buffers [(.remaining sliced) (.remaining direct)]))}]
      (raw/with-server [port (application callbacks) {}]
        (client/with-socket [connection port]
          (is (= [[:binary [2 3 4 5]] [:binary [7 8 9]] [:binary [1]]]
                 (repeatedly 3 #(data connection))))
          (is (= [0 0] (raw/await-value buffers))))))))

(deftest what-is-no-message
  (let [results (promise)
        message (fn [call] (try (call) (catch IllegalArgumentException e (ex-message e))))
        callbacks {:on-connect (fn [socket]
                                 (ws/send! socket (StringBuilder. "any CharSequence"))
                                 (deliver results [(message #(ws/send! socket 7)) (message #(ws/send-bin! socket "text"))
                                                   (class (ws/unwrap socket))]))}]
    (raw/with-server [port (application callbacks) {}]
      (client/with-socket [connection port]
        (is (= ["send! takes a CharSequence, got java.lang.Long"
                "send-bin! takes a ByteBuffer or byte[], got java.lang.String"
                AsyncChannel]
               (raw/await-value results)))
        (is (= "any CharSequence" (client/read-text connection)))))))

(deftest a-double-of-the-protocol
  (let [sent (atom [])
        double (reify ws/WebSocket
                 (send! [_ msg] (swap! sent conj msg) nil)
                 (connected? [_] true))]
    ((:on-text echo) double "x")
    (is (= ["x"] @sent))))

(deftest functions-of-jettys-objects
  (is (thrown-with-msg? UnsupportedOperationException #"build-request-map" (ws/build-request-map nil)))
  (is (thrown? UnsupportedOperationException (ws/set-headers nil {})))
  (is (thrown? UnsupportedOperationException (ws/update-servlet-response nil {}))))

(deftest asynchronous-handlers
  (let [handler (ws/wrap-configurator (fn [_ respond _] (respond {:status 200 :body "ring"}))
                                      (ws/configurator (constantly {:ws-handlers echo})))]
    (raw/with-server [port handler {:ring-async? true}]
      (is (string/includes? (:body (raw/fetch port "GET" "/")) "ring"))
      (client/with-socket [connection port]
        (client/send-text connection "x")
        (is (= "x" (client/read-text connection)))))))
