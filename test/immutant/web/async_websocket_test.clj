(ns immutant.web.async-websocket-test
  "WebSockets of immutant.web.async over real connections."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.websocket :as ws]
            [immutant.web :as web]
            [immutant.web.async :as async]
            [immutant.web.internal.channel :as channel]
            [immutant.web.serving :as serving])
  (:import (immutant.web.internal.channel Channel)
           (java.io ByteArrayInputStream)
           (java.util.concurrent CountDownLatch)
           (org.httpkit.server AsyncChannel)))

(use-fixtures :each temporary/cleanup)

(defn- noting
  "Returns a handler whose callbacks note [:open ch], [:message m], [:error e] and [:close status] in `events`, and then call
  those of `options`."
  [events & {:as options}]
  (let [then (fn [key & arguments]
               (when-let [f (get options key)]
                 (apply f arguments)))]
    (fn [request]
      (async/as-channel request
                        (merge (select-keys options [:timeout])
                               {:on-open (fn [ch] (ws/note events [:open ch]) (then :on-open ch))
                                :on-message (fn [ch m] (ws/note events [:message m]) (then :on-message ch m))
                                :on-error (fn [ch e] (ws/note events [:error e]) (then :on-error ch e))
                                :on-close (fn [ch status] (ws/note events [:close status]) (then :on-close ch status))})))))

(defn- echo [ch message]
  (async/send! ch message))

(deftest upgrades
  (testing "the handler runs before the 101, as an ordinary call"
    (let [seen (promise)
          events (ws/events)]
      (serving/with-run [port (fn [request] (deliver seen request) ((noting events) request))]
        (ws/with-socket [socket port :target "/chat?x=y"]
          (let [request (raw/await-value seen)]
            (is (= [true :http :get "/chat" "x=y" "Upgrade"]
                   ((juxt :websocket? :scheme :request-method :uri :query-string #(get-in % [:headers "connection"])) request)))
            (is (= :open (first (ws/next-event events)))))))))
  (testing "headers of the final response; those of the handshake are the server's; the status does not count"
    (serving/with-run [port (fn [request]
                              (assoc (async/as-channel request)
                                     :status 403
                                     :headers {"Ham" "biscuit" "Number" 5 "Set-Cookie" ["a=1" "b=2"] "upgrade" "no"
                                               "Connection" "close" "Sec-WebSocket-Accept" "no"
                                               "Sec-WebSocket-Protocol" "chat"}))]
      (raw/with-connection [connection port]
        (let [{:keys [status lines]} (ws/handshake connection :headers {"Sec-WebSocket-Protocol" "chat" "Origin" "http://a"})]
          (is (= 101 status))
          (is (= [["ham" "biscuit"] ["number" "5"] ["set-cookie" "a=1"] ["set-cookie" "b=2"] ["sec-websocket-protocol" "chat"]
                  ["upgrade" "websocket"] ["connection" "Upgrade"] ["sec-websocket-accept" ws/accept-of-rfc]]
                 (for [[name value] lines :when (not= "Date" name)] [(string/lower-case name) value])))))))
  (testing "names are compared by the protocol's rules, not by those of Turkish"
    (serving/in-turkish
     (serving/with-run [port (fn [request] (assoc (async/as-channel request) :headers {"CONNECTION" "close"}))]
       (raw/with-connection [connection port]
         (is (= "Upgrade" (get-in (ws/handshake connection) [:headers "connection"])))))))
  (testing "another response refuses; the handler runs once"
    (let [calls (atom 0)]
      (serving/with-run [port (fn [_] (swap! calls inc) {:status 403 :headers {"A" "1"} :body "boom"})]
        (raw/with-connection [connection port]
          (raw/write connection (ws/handshake-text "/" nil))
          (is (= [403 "boom" "1"] ((juxt :status :body #(get-in % [:headers "a"])) (raw/read-response connection))))
          (is (= 1 @calls))))))
  (testing "a nil response is a 500"
    (serving/with-run [port (fn [_] nil) (serving/quiet)]
      (raw/with-connection [connection port]
        (is (= 500 (:status (ws/handshake connection)))))))
  (testing "no handshake of RFC 6455"
    (let [calls (atom [])]
      (serving/with-run [port (fn [request] (swap! calls conj (:websocket? request)) {:status 200})]
        (are [answer headers] (= answer (raw/with-connection [connection port]
                                          ((juxt :status #(get-in % [:headers "connection"]))
                                           (ws/handshake connection :headers headers))))
          [426 "Upgrade, close"] {"Sec-WebSocket-Version" "12"}
          [200 nil] {"Upgrade" nil "Connection" nil})
        (is (= [false] @calls))))))

(deftest lifecycle
  (testing ":on-message neither precedes nor overlaps :on-open"
    (let [events (ws/events)
          sent (CountDownLatch. 1)
          handler (noting events :on-open (fn [_] (raw/await-latch sent) (ws/note events :opened)))]
      (serving/with-run [port handler]
        (ws/with-socket [socket port]
          (ws/send-text socket "a")
          (ws/send-text socket "b")
          (.countDown sent)
          (is (= :open (first (ws/next-event events))))
          (is (= [:opened [:message "a"] [:message "b"]] (repeatedly 3 #(ws/next-event events))))))))
  (testing "the same when the handler responds from another thread"
    (let [events (ws/events)
          sent (CountDownLatch. 1)
          handler (noting events :on-open (fn [_] (raw/await-latch sent) (ws/note events :opened)))]
      (serving/with-run [port (fn [request respond _]
                                (let [response (handler request)]
                                  (future (respond response))))
                         {:server-options {:ring-async? true}}]
        (ws/with-socket [socket port]
          (ws/send-text socket "a")
          (ws/send-text socket "b")
          (.countDown sent)
          (is (= :open (first (ws/next-event events))))
          (is (= [:opened [:message "a"] [:message "b"]] (repeatedly 3 #(ws/next-event events))))))))
  (testing "open? from :on-open to the end; :on-close once, and last"
    (let [events (ws/events)]
      (serving/with-run [port (noting events)]
        (ws/with-socket [socket port]
          (let [[_ ch] (ws/next-event events)]
            (is (async/open? ch))
            (ws/send-text socket "a")
            (ws/send-close socket 1000 "bye")
            (is (= [[:message "a"] [:close {:code 1000 :reason "bye"}]] (repeatedly 2 #(ws/next-event events))))
            (is (false? (async/open? ch)))
            (is (nil? (async/send! ch "x")))))
        (is (ws/no-event? events)))))
  (testing "without any callback"
    (serving/with-run [port async/as-channel]
      (ws/with-socket [socket port]
        (ws/send-text socket "a")
        (ws/send-close socket 1000 "")
        (is (= [1000 ""] (ws/read-close socket)))))))

(defn- responding-later [handler]
  (fn [request respond _]
    (let [response (handler request)]
      (future (respond response)))))

(deftest clients-that-close-at-once
  (let [quick (fn [port & frames]
                (raw/with-connection [connection port]
                  (apply ws/write-bytes connection (.getBytes ^String (ws/handshake-text "/" nil) "ISO-8859-1")
                         (concat frames [(ws/frame :close (ws/close-payload 1000 "bye"))]))
                  (raw/read-rest connection)))
        await-closed (fn [^Channel ch] (raw/await-true #(.isClosed ^AsyncChannel (.-exchange ch))))
        on-pool {:server-options {:dispatch :pool}}
        later {:server-options {:dispatch :pool :ring-async? true}}]
    (testing "have all callbacks called, also if the Close is here before :on-open"
      (let [mark-open channel/mark-open]
        (with-redefs [channel/mark-open (fn [ch] (await-closed ch) (mark-open ch))]
          (doseq [[wrap options] [[identity on-pool] [responding-later later]]]
            (let [events (ws/events)
                  callbacks {:on-open (fn [_] (ws/note events :open))
                             :on-message (fn [_ message] (ws/note events message))
                             :on-close (fn [_ status] (ws/note events status))}]
              (serving/with-run [port (wrap (fn [request] (async/as-channel request callbacks))) options]
                (quick port (ws/frame :text "m"))
                (is (= [:open "m" {:code 1000 :reason "bye"}] (repeatedly 3 #(ws/next-event events))))))))))
    (testing ":on-close waits for :on-open, with and without :on-message"
      (doseq [[wrap options] [[identity on-pool] [responding-later later]]
              on-message [nil identity]]
        (let [events (ws/events)
              callbacks {:on-open (fn [ch]
                                    (await-closed ch)
                                    (is (ws/no-event? events))
                                    (ws/note events :opened))
                         :on-message on-message
                         :on-close (fn [_ status] (ws/note events status))}]
          (serving/with-run [port (wrap (fn [request] (async/as-channel request callbacks))) options]
            (quick port)
            (is (= [:opened {:code 1000 :reason "bye"}] (repeatedly 2 #(ws/next-event events))))
            (is (ws/no-event? events))))))))

(deftest incoming-messages
  (testing "String for text, byte[] for binary, fragments joined"
    (let [events (ws/events)]
      (serving/with-run [port (noting events)]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (ws/send-text socket "h\u00e9")
          (ws/send-frame socket :text "a" :fin? false)
          (ws/send-frame socket :continuation "b")
          (ws/send-binary socket [1 2])
          (is (= [[:message "h\u00e9"] [:message "ab"]] (repeatedly 2 #(ws/next-event events))))
          (is (= [1 2] (vec (second (ws/next-event events)))))))))
  (testing "pings are answered"
    (serving/with-run [port async/as-channel]
      (ws/with-socket [socket port]
        (ws/send-frame socket :ping "p")
        (is (= [:pong "p"] ((juxt :type :text) (ws/read-frame socket)))))))
  (testing "there is a limit, an option changes it"
    (let [events (ws/events)]
      (serving/with-run [port (noting events) {:server-options (merge {:max-ws 10} (raw/quiet))}]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (ws/send-text socket "elevenbytes")
          (is (= 1009 (first (ws/read-close socket))))
          (is (= [:error :close] (map first (repeatedly 2 #(ws/next-event events)))))))))
  (testing "what :on-message throws goes to :on-error, the connection stays open"
    (let [events (ws/events)]
      (serving/with-run [port (noting events :on-message (fn [_ m] (throw (Exception. (str "BOOM " m)))))]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (ws/send-text socket "a")
          (ws/send-text socket "b")
          (is (= [:message :error :message :error] (map first (repeatedly 4 #(ws/next-event events)))))))))
  (testing "one at a time, in order"
    (let [events (ws/events)
          running (atom 0)]
      (serving/with-run [port (noting events :on-message (fn [_ _] (is (= 1 (swap! running inc))) (swap! running dec)))]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (dotimes [n 500] (ws/send-text socket (str n)))
          (is (= (for [n (range 500)] [:message (str n)]) (repeatedly 500 #(ws/next-event events)))))))))

(deftest messages
  (let [file (temporary/file "file")
        sent (fn [message & options]
               (let [frames (atom [])]
                 (serving/with-run [port (fn [request]
                                           (async/as-channel request :on-open #(apply async/send! % message options)))
                                    (serving/quiet)]
                   (ws/with-socket [socket port]
                     (loop []
                       (let [{:keys [type] :as frame} (ws/read-frame socket)]
                         (when frame
                           (swap! frames conj (case type
                                                :text (:text frame)
                                                :binary (vec (:bytes frame))
                                                :close [:close (:code frame) (:reason frame)]))
                           (if (= :close type)
                             (ws/send-close socket 1000 "")
                             (recur)))))))
                 @frames))
        end [:close 1000 ""]
        bytes-of #(vec (.getBytes ^String %))]
    (testing "each type, and the close that follows"
      (are [frames message] (= (conj frames end) (sent message :close? true))
        [] nil
        ["one"] "one"
        [""] ""
        ["h\u00e9"] "h\u00e9"
        [[0 -1]] (byte-array [0 -1])
        [(bytes-of "file")] file
        [(bytes-of "stream")] (ByteArrayInputStream. (.getBytes "stream"))
        [] ()
        ["ham" (bytes-of "biscuit") "gravy" (bytes-of "file")]
        (list "ham" (.getBytes "biscuit") nil (list "gravy") file)
        ["0" "1" "2"] (map str (range 3))))
    (testing "each piece of a stream is a binary message"
      (is (= [16384 16384 1 3] (map count (sent (ByteArrayInputStream. (byte-array 32769)) :close? true)))))))

(deftest sends-refused
  (testing "maps and other types, thrown to the caller"
    (let [results (promise)]
      (serving/with-run [port (fn [request]
                                (async/as-channel request
                                                  :on-open (fn [ch]
                                                             (deliver results
                                                                      (for [message [{:body "x"} [] 5]]
                                                                        (try
                                                                          (async/send! ch message)
                                                                          (catch Exception e
                                                                            [(class e) (ex-message e)])))))))]
        (ws/with-socket [_ port]
          (let [[[map-class map-message] [vector-class vector-message] [number-class _]] (raw/await-value results)]
            (is (= [IllegalArgumentException IllegalStateException IllegalStateException] [map-class vector-class number-class]))
            (is (re-find #"channel is not an HTTP stream channel" map-message))
            (is (re-find #"^Can't send message of type " vector-message))))))))

(deftest callbacks-of-sends
  (testing ":on-success, of nil at once"
    (doseq [message ["x" nil (.getBytes "x") (list "x" "y")]
            close? [true false]]
      (let [called (promise)]
        (serving/with-run [port (fn [request]
                                  (async/as-channel request
                                                    :on-open #(async/send! % message {:close? close?
                                                                                      :on-success (fn [] (deliver called :success))
                                                                                      :on-error (fn [e] (deliver called e))})))]
          (ws/with-socket [_ port]
            (is (= :success (raw/await-value called))))))))
  (testing "what :on-success throws goes to the channel's :on-error"
    (let [events (ws/events)]
      (serving/with-run [port (noting events :on-message #(async/send! %1 %2 :on-success (fn [] (throw (Exception. "BOOM")))))]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (ws/send-text socket "a")
          (is (= "a" (ws/read-text socket)))
          (is (= [:message "a"] (ws/next-event events)))
          (is (= "BOOM" (ex-message (second (ws/next-event events)))))))))
  (testing "not before the client has taken enough; a send that never gets there fails"
    (let [events (ws/events)
          big (byte-array 2000000)]
      (serving/with-run [port (noting events :on-open (fn [ch]
                                                        (dotimes [_ 6]
                                                          (async/send! ch big :on-success #(ws/note events [:success])))
                                                        (ws/note events [:sent])))]
        (ws/with-socket [socket port :receive-buffer 8192]
          (let [before (loop [seen []]
                         (let [[type] (ws/next-event events)]
                           (if (= :sent type) seen (recur (conj seen type)))))]
            (ws/reset socket)
            ;; The system's buffers take some.
            (let [{:keys [success error close]} (frequencies (concat before (map first (repeatedly (- 8 (count before))
                                                                                                   #(ws/next-event events)))))]
              (is (= 6 (+ (or success 0) error)))
              (is (= 1 close)))))
        (is (ws/no-event? events))))))

(deftest ends
  (let [statuses (fn [options act]
                   (let [events (ws/events)]
                     (serving/with-run [port (noting events :timeout (:timeout options)
                                                     :on-open (or (:on-open options) identity)
                                                     :on-message (or (:on-message options) echo))
                                        (merge (serving/quiet) (dissoc options :timeout :on-open :on-message))]
                       (ws/with-socket [socket port]
                         (ws/next-event events)
                         (act socket)
                         (loop [before []]
                           (let [[type what :as event] (ws/next-event events)]
                             (if (or (= :close type) (= :timeout event))
                               (conj before what)
                               (recur (if (= :error type) (conj before (class what)) before)))))))))]
    (testing "by the client"
      (are [status act] (= [status] (statuses {} act))
        {:code 1001 :reason "bye"} #(ws/send-close % 1001 "bye")
        {:code 1005 :reason ""} #(ws/send-close %)
        {:code 1006 :reason ""} raw/disconnect
        {:code 1006 :reason ""} ws/reset))
    (testing "with :legacy-close-codes?"
      (are [status act] (= [status] (statuses {:legacy-close-codes? true} act))
        {:code 1001 :reason "bye"} #(ws/send-close % 1001 "bye")
        {:code 4000 :reason "bye"} #(ws/send-close % 4000 "bye")
        {:code 1000 :reason ""} #(ws/send-close %)
        {:code 1001 :reason ""} raw/disconnect))
    (testing "what the client must not do: :on-error, then the code that was sent"
      (are [code act] (let [[error status & more] (statuses {} act)]
                        (and (= [org.httpkit.server.ProtocolException code nil] [error (:code status) more])))
        1002 #(ws/send-frame % :text "x" :rsv 1)
        1007 #(ws/send-frame % :text [0xff]))
      (is (= 1000 (:code (second (statuses {:legacy-close-codes? true} #(ws/send-frame % :text [0xff])))))))
    (testing "by the server"
      (doseq [end [async/close #(async/send! % "x" :close? true) #(async/send! % nil :close? true)]]
        (is (= [{:code 1000 :reason ""}] (statuses {:on-open end} identity)))
        (is (= [{:code 1000 :reason ""}] (statuses {:on-message (fn [ch _] (end ch))} #(ws/send-text % "x"))))))
    (testing "1000 on the wire"
      (statuses {:on-message (fn [ch _] (async/close ch))}
                #(do (ws/send-text % "x")
                     (is (= [1000 ""] (ws/read-close %))))))
    (testing "idle; the Close frame is 1001"
      (is (= 1001 (:code (first (statuses {:timeout 50} #(is (= 1001 (first (ws/read-close %))))))))))
    (testing ":on-open throws: :on-error, then the end"
      (is (= [Exception {:code 1011 :reason ""}]
             (statuses {:on-open (fn [_] (throw (Exception. "BOOM")))} identity))))))

(deftest idle-time
  (testing "sends of the server count, so the messages are all delivered"
    (let [events (ws/events)
          step (atom 0)]
      (serving/with-run [port (noting events :timeout 300
                                      :on-message (fn [ch _] (async/send! ch (str (swap! step inc)))))]
        (ws/with-socket [socket port]
          (dotimes [n 5]
            (ws/send-text socket "x")
            (is (= (str (inc n)) (ws/read-text socket))))
          (is (= 1001 (first (ws/read-close socket)))))))))

(deftest server-stop
  (testing "the Close frame is 1001, :on-close gets 1001"
    (let [events (ws/events)]
      (serving/with-run [port (noting events)]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (let [stopped (future (web/stop :host "127.0.0.1" :port port))]
            (is (= 1001 (first (ws/read-close socket))))
            (ws/send-close socket 1001 "")
            (is (= [:close {:code 1001 :reason ""}] (ws/next-event events)))
            (is (true? @stopped))))))))

(deftest closing
  (testing "at once, before the peer answers; idempotent; open? is false"
    (let [events (ws/events)]
      (serving/with-run [port (noting events)]
        (ws/with-socket [_ port]
          (let [[_ ch] (ws/next-event events)]
            (async/close ch)
            (is (= [:close {:code 1000 :reason ""}] (ws/next-event events)))
            (is (false? (async/open? ch)))
            (is (nil? (async/send! ch "x")))
            (async/close ch)
            (is (ws/no-event? events)))))))
  (testing ":on-close after the :on-message that runs; what came with it is not for a closed channel"
    (let [events (ws/events)
          go (CountDownLatch. 1)]
      (serving/with-run [port (noting events :on-message (fn [_ _] (raw/await-latch go) (ws/note events :returned)))]
        (ws/with-socket [socket port]
          (let [[_ ch] (ws/next-event events)]
            (ws/send-text socket "a")
            (ws/send-text socket "b")
            (is (= [:message "a"] (ws/next-event events)))
            (async/close ch)
            (is (ws/no-event? events))
            (.countDown go)
            (is (= [:returned [:close {:code 1000 :reason ""}]] (repeatedly 2 #(ws/next-event events))))))))
    (let [events (ws/events)
          go (CountDownLatch. 1)]
      (serving/with-run [port (noting events :on-message (fn [_ _] (raw/await-latch go) (ws/note events :returned)))]
        (ws/with-socket [socket port]
          (ws/next-event events)
          (ws/send-text socket "a")
          (is (= [:message "a"] (ws/next-event events)))
          (ws/send-close socket 1000 "")
          (is (= [1000 ""] (ws/read-close socket)))
          (.countDown go)
          (is (= [:returned [:close {:code 1000 :reason ""}]] (repeatedly 2 #(ws/next-event events)))))))))

(deftest concurrent-sends
  (testing "concurrent sends are safe, each thread's keep their order"
    (let [events (ws/events)]
      (serving/with-run [port (noting events)]
        (ws/with-socket [socket port]
          (let [[_ ch] (ws/next-event events)
                senders (doall (for [thread (range 4)]
                                 (future (dotimes [n 200] (async/send! ch (str thread ":" n))))))
                received (doall (repeatedly 800 #(ws/read-text socket)))]
            (run! deref senders)
            (doseq [[_ sent] (group-by first received)]
              (is (= (map str (range 200)) (map #(subs % 2) sent)))))))))
  (testing "nothing gets between the pieces of a message"
    (let [go (promise)]
      (serving/with-run [port (fn [request]
                                (async/as-channel request
                                                  :on-open (fn [ch]
                                                             (async/send! ch (map (fn [n] @go (str n)) (range 3)))
                                                             (async/send! ch "after" :close? true)
                                                             (deliver go true))))]
        (ws/with-socket [socket port]
          (is (= ["0" "1" "2" "after"] (doall (repeatedly 4 #(ws/read-text socket)))))
          (is (= [1000 ""] (ws/read-close socket))))))))
