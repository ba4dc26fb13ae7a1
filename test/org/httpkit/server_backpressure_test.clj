(ns org.httpkit.server-backpressure-test
  "Clients that take less than they are sent, and those that send more than is taken."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.io IOException)
           (org.httpkit.server AsyncChannel)))

(def ^:private piece-length (* 32 1024))
(def ^:private filler (string/join (repeat piece-length "-")))

(defn- piece
  "Returns a text of `piece-length` bytes that ends in the number."
  [n]
  (let [number (str n)]
    (str (subs filler (count number)) number)))

(defn- number-of ^long [text]
  (Long/parseLong (subs text (inc (string/last-index-of text "-")))))

(def ^:private most-pieces
  "Enough to fill every socket buffer on the way and the window many times."
  2000)

(defn- notes-channels
  "Returns a handler that upgrades or, for HTTP, starts a stream, and notes [:open ch] and [:closed status]."
  [events]
  (fn [request]
    (server/as-channel request {:on-open (fn [ch]
                                           (when-not (:websocket? request)
                                             (server/send! ch {:status 200} false))
                                           (ws/note events [:open ch]))
                                :on-close (fn [_ status] (ws/note events [:closed status]))})))

(defmacro ^:private with-slow-client
  "Runs the body with a channel and the connection of a client that takes nothing by itself."
  [[ch connection events options & [http?]] & body]
  `(let [~events (ws/events)]
     (raw/with-server [port# (notes-channels ~events) ~options]
       (raw/with-connection [~connection port# :receive-buffer 8192]
         (if ~http?
           (raw/write ~connection (raw/request "GET" "/"))
           (ws/handshake ~connection))
         (let [[_# ~ch] (ws/next-event ~events)]
           ~@body)))))

(defn- send-until
  "Sends pieces from number `from` on until `(stop? result)`; returns the number of the piece that stopped it, nil if none did."
  [ch from stop?]
  (first (filter #(stop? (server/send! ch (piece %) false)) (range from most-pieces))))

(deftest close-is-the-default
  (testing "a WebSocket above :max-pending is closed with 1013"
    (with-slow-client [ch connection events {:max-pending 1000000}]
      (.setCloseRingHandler ^AsyncChannel ch #(ws/note events [:ring %1 (string? %2)]))
      (let [refused (send-until ch 0 false?)]
        (is (some? refused))
        (is (= [[:closed :unknown] [:ring 1013 true]] (repeatedly 2 #(ws/next-event events))))
        (is (= [false false] [(server/open? ch) (server/send! ch "x")]))
        (testing "after the messages that were accepted"
          (is (= (range refused) (repeatedly refused #(number-of (ws/read-text connection)))))
          (is (= [1013 ""] (ws/read-close connection)))))))
  (testing "an HTTP stream is cut: it does not look complete"
    (with-slow-client [ch connection events {:max-pending 1000000} true]
      (is (some? (send-until ch 0 false?)))
      (is (= [:closed :client-close] (ws/next-event events)))
      (is (not (server/open? ch)))
      (is (not (string/ends-with? (raw/read-rest connection) "\r\n0\r\n\r\n")))))
  (testing "nil is no limit"
    (with-slow-client [ch connection events {:max-pending nil}]
      (let [pieces 600]
        (dotimes [n pieces] (is (true? (server/send! ch (piece n)))))
        (is (= (range pieces) (repeatedly pieces #(number-of (ws/read-text connection))))))))
  (testing "so is a WebSocket beyond its window when all clients together are above :max-pending-total"
    (let [channels (ws/events)]
      (raw/with-stats [port stats #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))})
                       {:max-pending nil :max-pending-total 1000000}]
        (raw/with-connection [one port :receive-buffer 8192]
          (raw/with-connection [other port :receive-buffer 8192]
            (run! ws/handshake [one other])
            (let [slow [(ws/next-event channels) (ws/next-event channels)]
                  send-both #(mapv (fn [ch] (server/send! ch %)) slow)]
              (is (some false? (mapcat (comp send-both piece) (range most-pieces))))
              (is (< 1000000 (long (:bytes-pending (stats))) 1600000)))))
        (is (raw/await-true #(zero? (long (:bytes-pending (stats)))))))))
  (testing "one client that does not read costs the others nothing"
    (let [channels (ws/events)
          rounds 400]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))}) {:max-pending 1000000}]
        (raw/with-connection [slow port :receive-buffer 8192]
          (ws/handshake slow)
          (let [slow-channel (ws/next-event channels)
                others (vec (repeatedly 4 #(ws/connect port)))
                open (vec (repeatedly 4 #(ws/next-event channels)))
                readers (mapv (fn [other] (future (mapv (fn [_] (number-of (ws/read-text other))) (range rounds)))) others)]
            (dotimes [n rounds]
              (let [text (piece n)]
                (server/send! slow-channel text)
                ;; Readers that lag would be closed as well.
                (doseq [^AsyncChannel ch open] (.sendBlocking ch text false 0))))
            (is (not (server/open? slow-channel)))
            (doseq [reader readers]
              (is (= (range rounds) (deref reader raw/patience-millis :timeout))))
            (run! raw/disconnect others)))))))

(deftest block
  (doseq [[kind http? read-all] [["WebSocket" false
                                  (fn [connection count] (repeatedly count #(number-of (ws/read-text connection))))]
                                 ["stream" true
                                  (fn [connection count]
                                    (let [{:keys [body]} (raw/read-response connection)]
                                      (map #(number-of (subs body (* (long %) (long piece-length)) (* (inc (long %)) (long piece-length))))
                                           (range count))))]]]
    (testing kind
      (testing "send! waits for the client, and nothing is lost"
        (with-slow-client [ch connection events {:slow-client :block :max-pending 1000000} http?]
          (let [sent (atom 0)
                pieces 300
                sending (future (let [results (mapv (fn [n]
                                                      (let [result (server/send! ch (piece n) false)]
                                                        (swap! sent inc)
                                                        result))
                                                    (range pieces))]
                                  (server/close ch)
                                  results))]
            (is (= (range pieces) (read-all connection pieces)))
            (is (every? true? (deref sending raw/patience-millis :timeout)))
            (is (= [:closed :server-close] (ws/next-event events))))))
      (testing "a client that leaves ends the wait"
        (with-slow-client [ch connection events {:slow-client :block} http?]
          (let [waiting (promise)
                sending (future (send-until ch 0 (fn [result] (deliver waiting true) (false? result))))]
            (raw/await-value waiting)
            (ws/reset connection)
            (is (number? (deref sending raw/patience-millis :timeout)))
            (is (= :closed (first (ws/next-event events)))))))
      (testing "so does a close by another thread"
        (with-slow-client [ch _ events {:slow-client :block} http?]
          (let [progress (atom 0)
                sending (future (send-until ch 0 (fn [result] (swap! progress inc) (false? result))))]
            ;; Either it waits by now or it will find the channel closed.
            (is (raw/await-true #(pos? (long @progress))))
            (is (true? (server/close ch)))
            (is (number? (deref sending raw/patience-millis :timeout)))
            (is (= [:closed :server-close] (ws/next-event events))))))))
  (testing "a large piece by itself waits as well"
    (with-slow-client [ch connection _ {:slow-client :block}]
      (let [length (* 8 1024 1024)
            sending (future (server/send! ch (byte-array length)))]
        (is (= length (alength ^bytes (:bytes (ws/read-frame connection)))))
        (is (true? (deref sending raw/patience-millis :timeout)))))))

(deftest drop-messages
  (with-slow-client [ch connection _ {:slow-client :drop :max-pending 1000000}]
    (is (nil? (send-until ch 0 false?)) "true, although they do not arrive")
    (let [first-read (number-of (ws/read-text connection))
          heard (future (vec (take-while #(not= "end" %) (repeatedly #(ws/read-text connection)))))]
      (is (zero? first-read))
      ;; The client takes everything now, so there is room again some time.
      (while (= :not-yet (deref heard 5 :not-yet))
        (server/send! ch "end"))
      (let [numbers (map number-of @heard)]
        (is (apply < numbers))
        (is (= (range 1 (inc (count numbers))) numbers) "what came before the window was full")
        (is (< (count numbers) 1000))))
    (testing "the end is not left out"
      (is (server/open? ch))
      (send-until ch 0 false?)
      (is (true? (server/send! ch "dropped" true)))
      (is (not (server/open? ch)))
      (is (= 1000 (:code (first (filter #(= :close (:type %)) (repeatedly #(ws/read-frame connection))))))))))

(deftest room-that-comes-before-its-sender-waits
  (testing "is not waited for again"
    (let [window-class (Class/forName "org.httpkit.server.Window")
          window (.newInstance ^java.lang.reflect.Constructor (doto (.getDeclaredConstructor window-class (make-array Class 0))
                                                                (.setAccessible true))
                               (object-array 0))
          call (fn [method & arguments]
                 (.invoke ^java.lang.reflect.Method (doto (first (filter #(= method (.getName ^java.lang.reflect.Method %))
                                                                         (.getDeclaredMethods window-class)))
                                                      (.setAccessible true))
                          window (to-array arguments)))
          outcome #(.getNow ^java.util.concurrent.CompletableFuture % :none)]
      (is (= :none (outcome (call "whenRoom" (int 0)))))
      (is (= true (call "isFull")))
      (call "open")
      (is (= [true false] [(outcome (call "whenRoom" (int 0))) (call "isFull")]))
      (is (= :none (outcome (call "whenRoom" (int 1)))))
      (call "close" false)
      (call "close" true)
      (is (= [false false] [(outcome (call "whenRoom" (int 1))) (outcome (call "whenRoom" (int 2)))])))))

(deftest send-blocking
  (with-slow-client [ch connection events {}]
    (let [ch ^AsyncChannel ch]
      (is (true? (.sendBlocking ch "within the window" false 1)))
      (is (= "within the window" (ws/read-text connection)))
      (testing "gives up after its time; the message is on its way all the same"
        (let [n (atom -1)]
          (is (thrown-with-msg? IOException #"^The client has not taken enough within 1 ms$"
                                (dotimes [i most-pieces]
                                  (reset! n i)
                                  (.sendBlocking ch (piece i) false 1))))
          (is (= (range (inc (long @n))) (repeatedly (inc (long @n)) #(number-of (ws/read-text connection)))))))
      (testing "an interrupt ends the wait and stays set"
        (let [interrupted (promise)
              sender (Thread. #(try
                                 (dotimes [i most-pieces] (.sendBlocking ch (piece i) false 0))
                                 (catch IOException e
                                   (deliver interrupted [(class e) (.isInterrupted (Thread/currentThread))]))))]
          (.start sender)
          (.interrupt sender)
          (is (= [java.io.InterruptedIOException true] (raw/await-value interrupted)))))
      (testing "is false once the channel has ended"
        (ws/reset connection)
        (is (= [:closed :going-away] (ws/next-event events)))
        (is (false? (.sendBlocking ch "x" false 0)))))))

(deftest send-then
  (let [outcomes (ws/events)
        accepted (fn [label] #(ws/note outcomes [label :accepted]))
        failed (fn [label] #(ws/note outcomes [label (ex-message %)]))
        send-then (fn [^AsyncChannel ch data close? label] (.sendThen ch data close? (accepted label) (failed label)))]
    (with-slow-client [ch connection _ {}]
      (testing "within the window: before it returns"
        (send-then ch "x" false 1)
        (is (= [1 :accepted] (.poll outcomes)))
        (is (= "x" (ws/read-text connection))))
      (testing "what cannot be sent"
        (send-then ch :x false 2)
        (is (string/starts-with? (second (.poll outcomes)) "send! called with data: clojure.lang.Keyword")))
      (testing "above it: when the client has taken enough, and each once"
        (let [waiting (loop [n 0]
                        (send-then ch (piece n) false [:piece n])
                        (let [outcome (.poll outcomes)]
                          (if (= [[:piece n] :accepted] outcome)
                            (recur (inc n))
                            (do (is (nil? outcome)) n))))]
          (send-then ch (piece (inc waiting)) false [:piece (inc waiting)])
          (is (.isEmpty outcomes))
          (dotimes [n (+ 2 waiting)]
            (is (= n (number-of (ws/read-text connection)))))
          (is (= #{[[:piece waiting] :accepted] [[:piece (inc waiting)] :accepted]}
                 (set (repeatedly 2 #(ws/next-event outcomes)))))))
      (testing "with the end of the channel"
        (send-then ch "last" true :last)
        (is (= [:last :accepted] (.poll outcomes)))
        (send-then ch "late" false :late)
        (is (= [:late "The channel is closed"] (.poll outcomes)))))
    (testing "of a client that leaves"
      (with-slow-client [ch connection events {}]
        (let [label (loop [n 0]
                      (send-then ch (piece n) false n)
                      (if (.poll outcomes) (recur (inc n)) n))]
          (ws/reset connection)
          (is (= [label "The channel is closed"] (ws/next-event outcomes)))
          (is (= [:closed :going-away] (ws/next-event events))))))
    (testing "a callback that throws later is logged"
      (let [log (ws/events)]
        (with-slow-client [ch connection _ {:error-logger (fn [message exception] (ws/note log [message (ex-message exception)]))}]
          (let [waiting (atom 0)]
            (while (do (.sendThen ^AsyncChannel ch (piece @waiting) false
                                  #(if (.isEmpty outcomes) (ws/note outcomes :at-once) (throw (Exception. "mine")))
                                  identity)
                       (.poll outcomes))
              (swap! waiting inc))
            (ws/note outcomes :not-empty)
            (dotimes [_ (inc (long @waiting))] (ws/read-frame connection))
            (is (= ["send! callback" "mine"] (ws/next-event log)))))))))

(deftest what-waits-when-the-channel-ends
  (let [wait (fn [^AsyncChannel ch outcomes]
               (loop [n 0]
                 (.sendThen ch (piece n) false #(ws/note outcomes :accepted) #(ws/note outcomes (ex-message %)))
                 (if (.poll ^java.util.concurrent.LinkedBlockingQueue outcomes) (recur (inc n)) n)))]
    (doseq [http? [false true]
            [way end outcome] [[:close server/close :accepted]
                               [:last-send #(server/send! % "last" true) :accepted]
                               [:abort #(.abort ^AsyncChannel %) "The channel is closed"]]
            :when (or http? (not= :abort way))]
      (testing [(if http? "stream" "WebSocket") way]
        (let [outcomes (ws/events)]
          (with-slow-client [ch connection events {} http?]
            (let [waiting (long (wait ch outcomes))]
              (is (true? (end ch)))
              (is (= outcome (ws/next-event outcomes)) "what waits is before the end on its way to the client")
              (is (= [:closed :server-close] (ws/next-event events)))
              (when-not http?
                (is (= (range (inc waiting)) (repeatedly (inc waiting) #(number-of (ws/read-text connection)))))))))))))

(deftest messages-nobody-wants
  (testing "are not kept once the handler has returned"
    (raw/with-servers [port #(server/with-channel % ch (server/open? ch)) {}]
      (ws/with-socket [connection port]
        (dotimes [_ 100]
          (ws/send-binary connection (byte-array (* 64 1024))))
        (ws/send-frame connection :ping "still read")
        (is (= "still read" (:text (ws/read-frame connection))))))))

(deftest a-flood-of-messages
  (testing "is held back by TCP while the callback is slow, costs others nothing, and loses nothing"
    (doseq [dispatch raw/dispatches]
      (testing dispatch
        (let [message-length (* 64 1024)
              messages 300
              entered (promise)
              go-on (promise)
              heard (ws/events)
              stop (server/run-server
                    (fn [request]
                      (server/as-channel request {:on-receive (fn [ch message]
                                                                (if (bytes? message)
                                                                  (do (deliver entered true)
                                                                      @go-on
                                                                      (ws/note heard (aget ^bytes message 0)))
                                                                  (server/send! ch message)))}))
                    {:port 0 :ip "127.0.0.1" :dispatch dispatch})
              port (:local-port (meta stop))
              held #(long (:bytes-in (server/server-stats stop)))]
          (try
            (ws/with-socket [flooding port]
              (ws/with-socket [other port]
                (let [flood (future (dotimes [n messages]
                                      (ws/send-binary flooding (byte-array message-length (unchecked-byte n)))))]
                  (raw/await-value entered)
                  (dotimes [n 200]
                    (ws/send-text other (str n))
                    (is (= (str n) (ws/read-text other))))
                  (is (< (held) (+ (* 2 message-length) (* 4 1024 1024))))
                  (is (not (realized? flood)))
                  (deliver go-on true)
                  (is (= (map unchecked-byte (range messages)) (repeatedly messages #(ws/next-event heard))))
                  @flood)))
            (finally
              (deliver go-on true)
              (stop))))))))

(deftest unfinished-bodies-and-messages
  (let [events (ws/events)
        handler #(if (:websocket? %)
                   (server/as-channel % {:on-close (fn [_ status] (ws/note events status))})
                   {:body "read"})
        megabyte (string/join (repeat 1000000 "x"))]
    (raw/with-server [port handler {:max-received-total 300000}]
      (raw/with-connection [connection port]
        (raw/write connection "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" megabyte)
        (is (= 503 (:status (raw/read-response connection))))
        (is (raw/ended? connection)))
      (raw/with-connection [connection port]
        (ws/handshake connection)
        (raw/write connection "\u0082\u00ff\0\0\0\0\0\40\0\0\0\0\0\0" megabyte)
        (is (= [1013 "The server has no room for the message"] (ws/read-close connection)))
        (is (= :unknown (ws/next-event events)) "what http-kit says of 1013"))
      (is (= 200 (:status (raw/fetch port "POST" "/" :body (subs megabyte 0 200000))))))))
