(ns org.httpkit.ring-websocket-refusal-test
  "Listeners that cannot be served and requests that cannot be upgraded: an entry in the log with method and path, once, and an
  HTTP error for the client."
  (:require [ring.doubles])
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as websocket]
            [org.httpkit.engine.handshake :as handshake]
            [org.httpkit.engine.ring-websocket :as ring-websocket]
            [org.httpkit.server :as server]
            [ring.websocket :as ws]
            [ring.websocket.protocols :as protocols]
            [ring.websockets :as websockets :refer [recorder with-listener with-listeners]]))

(def ^:private listener {:on-message (fn [_ _])})

(defn- refusals
  "Returns what clients get, a set of [status body], and the log, a set of [message exception-message count], of requests to
  servers of every kind whose handler returns `response`, a map or a function of the request."
  [response & {:keys [text headers]}]
  (let [answers (atom #{})
        logs (atom #{})]
    (doseq [entry (vals websockets/entries), async? [false true], dispatch raw/dispatches]
      (let [log (atom [])
            [port stop] (entry (websockets/handler (if (fn? response) response (constantly response)))
                               (assoc (raw/quiet log) :ring-async? async? :dispatch dispatch))]
        (try
          (raw/with-connection [connection port]
            (raw/write connection (or text (websocket/handshake-text "/path?query" headers)))
            (swap! answers conj ((juxt :status :body) (raw/read-response connection))))
          (finally (stop)))
        (swap! logs into (for [[[message text] n] (frequencies (map (juxt first (comp ex-message second)) @log))]
                           [message text n]))))
    [@answers @logs]))

(deftest no-upgrade-asked
  (is (= [#{[426 "This resource is a WebSocket"]}
          #{["GET /path" "The handler returned a :ring.websocket/listener, but the request asks for no upgrade" 1]}]
         (refusals {::ws/listener listener} :text (raw/request "GET" "/path?query"))))
  (testing "the answer says what is wanted"
    (with-listener [port listener (raw/quiet)]
      (doseq [headers [{} {"Connection" "close"}]]
        (is (= ["websocket" "Upgrade, close"]
               (map (:headers (raw/fetch port "GET" "/" :headers headers)) ["upgrade" "connection"])))))))

(deftest bad-handshakes
  (testing "are the client's fault: nothing is logged"
    (is (= [#{[400 "Bad Sec-Websocket-Key header"]} #{}]
           (refusals {::ws/listener listener} :headers {"Sec-WebSocket-Key" "short"})))
    (is (= [#{[426 "Sec-WebSocket-Version must be 13"]} #{}]
           (refusals {::ws/listener listener} :headers {"Sec-WebSocket-Version" "12"})))))

(deftest listeners-that-are-none
  (let [error (fn [text] [#{[500 "Internal Server Error"]} #{["GET /path" text 1]}])]
    (testing "without any callback"
      (doseq [without [{} {:on-message nil}]]
        (is (= (error "The WebSocket listener has no callback") (refusals {::ws/listener without})))))
    (testing "of no such kind"
      (is (= (error (str ":ring.websocket/listener must be a map of callbacks or satisfy ring.websocket.protocols/Listener, got "
                         "clojure.lang.PersistentVector"))
             (refusals {::ws/listener [listener listener]}))))
    (testing "two of them"
      (is (= (error "Two listeners: the response has a :ring.websocket/listener, and its :body is a channel")
             (refusals (fn [request] {::ws/listener listener :body (:async-channel request)})))))))

(deftest two-listeners-on-an-upgraded-channel
  (testing "the first is served, the second is an error in the log"
    (let [errors (websocket/events)
          heard (websocket/events)]
      (raw/with-servers [port (fn [request]
                                (merge (server/as-channel request {:on-receive (fn [ch message] (server/send! ch message))})
                                       {::ws/listener (recorder heard)}))
                         {:error-logger (fn [message exception] (websocket/note errors [message (class exception)]))}]
        (websocket/with-socket [socket port :target "/path"]
          (websocket/send-text socket "x")
          (is (= "x" (websocket/read-text socket)))
          (is (= ["GET /path" IllegalStateException] (websocket/next-event errors))))
        (is (websocket/no-event? heard))))))

(deftest subprotocols
  (testing "the one the listener chooses is the client's to hear"
    (doseq [offer ["a" "b, a" "b,a ,c"]]
      (with-listeners [port listener {:response {::ws/protocol "a"}}]
        (raw/with-connection [connection port]
          (is (= "a" (get-in (websocket/handshake connection :headers {"Sec-WebSocket-Protocol" offer})
                             [:headers "sec-websocket-protocol"])))))))
  (testing "none may be chosen"
    (with-listener [port listener {}]
      (raw/with-connection [connection port]
        (is (nil? (get-in (websocket/handshake connection :headers {"Sec-WebSocket-Protocol" "a"})
                          [:headers "sec-websocket-protocol"]))))))
  (testing "but not one that was not offered"
    (doseq [[protocol headers text] [["x" {"Sec-WebSocket-Protocol" "a, b"} "\"x\" is none the client offers: \"a\", \"b\""]
                                     ["A" {"Sec-WebSocket-Protocol" "a"} "\"A\" is none the client offers: \"a\""]
                                     ["x" {} "\"x\" is none the client offers: it offers none"]
                                     [:a {"Sec-WebSocket-Protocol" "a"} ":a is none the client offers: \"a\""]]]
      (is (= [#{[500 "Internal Server Error"]} #{["GET /path" (str ":ring.websocket/protocol " text) 1]}]
             (refusals {::ws/listener listener ::ws/protocol protocol} :headers headers))))))

(deftest offered-subprotocols
  (testing "each without the blanks around it"
    (is (= ["a" "b c" "d" "e"] (handshake/tokens {"sec-websocket-protocol" " a,b c \t ,\td ,e\t"} "sec-websocket-protocol"))))
  (testing "are not looked at unless the listener chooses one"
    (let [request (reify clojure.lang.ILookup
                    (valAt [_ key] (throw (IllegalStateException. (str key))))
                    (valAt [_ key _] (throw (IllegalStateException. (str key)))))]
      (is (nil? (#'ring-websocket/check-protocol nil request)))
      (is (thrown? IllegalStateException (#'ring-websocket/check-protocol "a" request))))))

(deftest limits-of-the-adapter
  (let [events (websocket/events)
        oversized (fn [options type size]
                    (with-listener [port (recorder events) (merge {:entry :adapter} (raw/quiet) options)]
                      (websocket/with-socket [socket port]
                        (websocket/send-frame socket type (byte-array (repeat size 120)))
                        (is (= [:on-open] (websocket/next-event events)))
                        ;; A close of the client's would be answered if it came before the server's.
                        (let [verdict (websocket/next-event events)]
                          (when (= :on-message (first verdict))
                            (websocket/send-close socket 1000 ""))
                          (let [[code] (websocket/read-close socket)]
                            [code (map first [verdict (websocket/next-event events)])])))))]
    (doseq [type [:text :binary]]
      (testing [type "ring's default is 64 KiB"]
        (is (= [1000 [:on-message :on-close]] (oversized {} type 65536)))
        (is (= [1009 [:on-error :on-close]] (oversized {} type 65537)))))
    (testing "each kind has its own"
      (let [options {:ws-max-text-size 3 :ws-max-binary-size 5}]
        (is (= [[1000 [:on-message :on-close]] [1009 [:on-error :on-close]]] (map #(oversized options :text %) [3 4])))
        (is (= [[1000 [:on-message :on-close]] [1009 [:on-error :on-close]]] (map #(oversized options :binary %) [5 6])))
        (is (= [1009 [:on-error :on-close]] (oversized {:ws-max-text-size 5 :ws-max-binary-size 3} :binary 4)))))
    (testing "of text it is the bytes that count"
      (with-listener [port (recorder events) {:entry :adapter :ws-max-text-size 6 :ws-max-binary-size 10}]
        (websocket/with-socket [socket port]
          (websocket/send-text socket "\u20ac\u20ac")
          (websocket/send-text socket "\ud83d\ude00\u00e4")
          (is (= [[:on-open] [:on-message "\u20ac\u20ac"] [:on-message "\ud83d\ude00\u00e4"]]
                 (repeatedly 3 #(websocket/next-event events))))
          (websocket/send-text socket "\ud83d\ude00\u20ac")
          (is (= 1009 (first (websocket/read-close socket))))))
      (is (= [:on-error :on-close] (map first (repeatedly 2 #(websocket/next-event events))))))))

(deftest idle-sockets
  (let [events (websocket/events)]
    (with-listener [port (recorder events) {:entry :adapter :ws-idle-timeout 100}]
      (websocket/with-socket [socket port]
        (is (= [1001 "Idle Timeout"] (websocket/read-close socket)))
        (is (= [[:on-open] [:on-close 1001 "Idle Timeout"]] (repeatedly 2 #(websocket/next-event events))))))))

(deftest switched-off
  (testing "http-kit's property leaves the map an ordinary response"
    (System/setProperty "http-kit.no-ring-websockets" "true")
    (try
      (with-listener [port listener {}]
        (is (= 200 (:status (raw/fetch port "GET" "/")))))
      (finally (System/clearProperty "http-kit.no-ring-websockets")))))
