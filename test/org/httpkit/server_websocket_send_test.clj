(ns org.httpkit.server-websocket-send-test
  "What `send!` makes of its data on a WebSocket, and what it returns."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.io ByteArrayInputStream IOException)
           (java.nio ByteBuffer)
           (java.util.concurrent CountDownLatch)
           (org.httpkit.server AsyncChannel Frame$PingFrame Frame$PongFrame)))

(defmacro ^:private with-channel-and-socket
  "Runs the body with the server's end of a WebSocket in `ch` and the client's in `connection`."
  [[ch connection & [options]] & body]
  `(let [channels# (ws/events)]
     (raw/with-server [port# #(server/as-channel % {:on-open (fn [ch#] (ws/note channels# ch#))}) ~options]
       (ws/with-socket [~connection port#]
         (let [~ch (ws/next-event channels#)]
           ~@body)))))

(defn- sized
  "Returns a text of so many bytes."
  [length]
  (string/join (repeat length "x")))

(deftest types
  (with-channel-and-socket [ch connection]
    (doseq [[type expected data]
            [[:text "text" "text"]
             [:text "" ""]
             [:text "h\u00e9llo \ud83d\ude00" "h\u00e9llo \ud83d\ude00"]
             [:binary [1 2 -1] (byte-array [1 2 -1])]
             [:binary [] (byte-array 0)]
             [:binary [7 8] (ByteArrayInputStream. (byte-array [7 8]))]
             [:binary [2 3] (ByteBuffer/wrap (byte-array [1 2 3 4]) 1 2)]
             [:binary [5 6] (doto (ByteBuffer/allocateDirect 2) (.put (byte-array [5 6])) .flip)]
             [:text "body" {:status 500 :headers {"Ignored" "1"} :body "body"}]
             [:binary [9] {:body (byte-array [9])}]
             [:ping "ping" (Frame$PingFrame. (.getBytes "ping"))]
             [:ping (sized 125) (Frame$PingFrame. (.getBytes ^String (sized 125)))]
             [:pong "" (Frame$PongFrame. (byte-array 0))]]]
      (is (true? (server/send! ch data)) data)
      (let [frame (ws/read-frame connection)]
        (is (= [type true 0] ((juxt :type :fin? :rsv) frame)) data)
        (is (= expected (if (string? expected) (:text frame) (vec (:bytes frame)))) data)))
    (testing "nil is no message"
      (is (true? (server/send! ch nil)))
      (server/send! ch "next")
      (is (= "next" (ws/read-text connection))))))

(deftest lengths
  (testing "one frame with the least length encoding, whatever the size"
    (with-channel-and-socket [ch connection]
      (doseq [length [0 1 125 126 127 257 65535 65536 65537 1000000]
              data [(sized length) (byte-array length)]]
        (server/send! ch data)
        (let [{:keys [fin? ^bytes bytes]} (ws/read-frame connection)]
          (is (= [true length] [fin? (alength bytes)])))))))

(deftest bad-data
  (with-channel-and-socket [ch connection]
    (doseq [[type data] [["java.lang.Long" 5]
                         ["clojure.lang.PersistentVector" ["x"]]
                         ["clojure.lang.Keyword" :x]
                         ["a map whose :body is nil" {}]
                         ["a map whose :body is nil" {:body nil}]
                         ["a map whose :body is clojure.lang.Keyword" {:body :x}]]
            close? [true false]]
      (is (thrown-with-msg? IllegalArgumentException
                            (re-pattern (str "^send! called with data: " (java.util.regex.Pattern/quote type) ", but "))
                            (server/send! ch data close?))))
    (doseq [frame [(Frame$PingFrame. (byte-array 126)) (Frame$PongFrame. (byte-array 200))]]
      (is (thrown-with-msg? IllegalArgumentException #"^Websocket control frame payload exceeds 125 bytes$"
                            (server/send! ch frame))))
    (testing "a stream that fails is closed, and nothing is sent"
      (let [closed (promise)
            stream (proxy [java.io.InputStream] []
                     (read ([] (throw (IOException. "mine"))) ([_ _ _] (throw (IOException. "mine"))))
                     (close [] (deliver closed true)))]
        (is (thrown-with-msg? IOException #"mine" (server/send! ch stream)))
        (is (true? (raw/await-value closed)))))
    (testing "the channel is as it was"
      (is (server/open? ch))
      (is (true? (server/send! ch "fine")))
      (is (= "fine" (ws/read-text connection))))))

(deftest results
  (testing "of a channel that is closed"
    (with-channel-and-socket [ch connection]
      (is (= [true true] [(server/open? ch) (server/websocket? ch)]))
      (is (= [true false] [(server/close ch) (server/close ch)]))
      (is (= [false false true] [(server/open? ch) (server/send! ch "x") (server/websocket? ch)]))
      (is (false? (server/send! ch :of-no-use)))
      (is (= [1000 ""] (ws/read-close connection)))))
  (testing "of the last message"
    (with-channel-and-socket [ch connection]
      (is (true? (server/send! ch "last" true)))
      (is (= [false false] [(server/open? ch) (server/send! ch "x")]))
      (is (= "last" (ws/read-text connection)))
      (is (= [1000 ""] (ws/read-close connection)))))
  (testing "of nothing and the end"
    (with-channel-and-socket [ch connection]
      (is (true? (server/send! ch nil true)))
      (is (= [1000 ""] (ws/read-close connection)))))
  (testing "after the client's Close frame"
    (with-channel-and-socket [ch connection]
      (ws/send-close connection 1000 "")
      (is (= [1000 ""] (ws/read-close connection)))
      (is (raw/ended? connection))
      (is (false? (server/send! ch "x"))))))

(deftest the-same-text-to-many-channels
  (testing "arrives at each, between other texts of the same length"
    (let [channels (ws/events)
          clients 5
          [a b] (for [letter ["\u00e4" "b"]] (string/join (repeat 1000 letter)))]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))}) {}]
        (let [connections (vec (repeatedly clients #(ws/connect port)))
              open (vec (repeatedly clients #(ws/next-event channels)))]
          (doseq [text [a b a (String. ^String a) b]
                  ch open]
            (server/send! ch text))
          (doseq [connection connections]
            (is (= [a b a a b] (repeatedly 5 #(ws/read-text connection))))
            (raw/disconnect connection)))))))

(deftest the-same-buffer-to-many-channels
  (let [channels (ws/events)
        buffers [(ByteBuffer/wrap (byte-array [0 1 2 3]) 1 2) (.put (ByteBuffer/allocateDirect 2) (byte-array [1 2]))]]
    (.flip ^ByteBuffer (second buffers))
    (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))}) {}]
      (let [connections (vec (repeatedly 3 #(ws/connect port)))
            open (vec (repeatedly 3 #(ws/next-event channels)))]
        (doseq [^ByteBuffer buffer buffers, ch open, data [buffer {:body buffer}]]
          (is (true? (server/send! ch data)))
          (is (= 2 (.remaining buffer))))
        (doseq [connection connections]
          (is (= (repeat 4 [1 2]) (repeatedly 4 #(vec (:bytes (ws/read-frame connection))))))
          (raw/disconnect connection))))))

(deftest many-senders
  (testing "frames are whole, and those of one thread in order"
    (let [senders 8
          messages 300]
      (with-channel-and-socket [ch connection]
        (let [start (CountDownLatch. 1)
              sending (doall (for [sender (range senders)]
                               (future
                                 (raw/await-latch start)
                                 (dotimes [n messages]
                                   (server/send! ch (str sender " " n " " (sized (mod (* 37 n) 500))))))))
              _ (.countDown start)
              received (vec (repeatedly (* senders messages) #(string/split (ws/read-text connection) #" " 3)))]
          (run! deref sending)
          (doseq [[_ from] (group-by first received)]
            (is (= (range messages) (map #(Long/parseLong (second %)) from))))
          (is (every? (fn [[_ n text]] (= text (sized (mod (* 37 (Long/parseLong n)) 500)))) received)))))))

(deftest reflection
  (testing "methods downstream code calls without type hints, with Longs"
    (with-channel-and-socket [ch connection]
      (let [^Object ch ch]
        (is (re-find #"^/127\.0\.0\.1:\d+<->/127\.0\.0\.1:\d+$" (str ch)))
        (is (= [false true false] [(.isClosed ^AsyncChannel ch) (.isWebSocket ^AsyncChannel ch) (.hasCloseHandler ^AsyncChannel ch)]))
        (is (true? (clojure.lang.Reflector/invokeInstanceMethod ch "send" (object-array ["x" false]))))
        (is (true? (clojure.lang.Reflector/invokeInstanceMethod ch "serverClose" (object-array [4000 "by hand"]))))
        (is (= "x" (ws/read-text connection)))
        (is (= [4000 "by hand"] (ws/read-close connection)))
        (is (string? (str ch)))))))
