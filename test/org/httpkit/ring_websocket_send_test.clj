(ns org.httpkit.ring-websocket-send-test
  "The socket a ring.websocket listener gets: every kind of data, and AsyncSocket."
  (:require [ring.doubles])
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as websocket]
            [ring.websocket :as ws]
            [ring.websocket.protocols :as protocols]
            [ring.websockets :refer [recorder with-listener with-listeners]])
  (:import (java.io IOException)
           (java.nio ByteBuffer)
           (ring.websocket.protocols AsyncSocket Socket)))

(defprotocol Sender
  "What a library may extend to every socket of Ring."
  (send-it [socket data]))

(extend-type Socket
  Sender
  (send-it [socket data] (ws/send socket data)))

(deftest sockets-implement-the-interfaces
  (let [heard (promise)]
    (with-listener [port {:on-open (fn [socket]
                                     (deliver heard [(instance? Socket socket) (instance? AsyncSocket socket) (str socket)])
                                     (send-it socket "extended"))
                          :on-message (fn [_ _])}
                    {}]
      (websocket/with-socket [socket port]
        (is (= "extended" (websocket/read-text socket)))
        (let [[socket? async? text] (raw/await-value heard)]
          (is (= [true true] [socket? async?]))
          (is (re-find #"^/127.0.0.1:\d+<->/127.0.0.1:\d+$" text)))))))

(defn- buffers
  "Returns every kind of buffer with the bytes 2 and 3 left."
  []
  (let [filled (fn [^ByteBuffer buffer] (.slice ^ByteBuffer (.position (.put (.put (.put buffer (byte 1)) (byte 2)) (byte 3)) 1)))
        two (fn [^ByteBuffer buffer] (.limit ^ByteBuffer buffer 2))]
    [(two (filled (ByteBuffer/allocate 8)))
     (two (filled (ByteBuffer/allocateDirect 8)))
     (.asReadOnlyBuffer ^ByteBuffer (two (filled (ByteBuffer/allocate 8))))]))

(deftest send-takes
  (let [events (websocket/events)]
    (with-listeners [port {:on-open (fn [socket]
                                      (websocket/note events
                                                      [(mapv #(ws/send socket %) ["text" (StringBuilder. "builder") ""])
                                                       (ws/send socket (byte-array [1]))
                                                       (mapv (fn [^ByteBuffer buffer]
                                                               [(ws/send socket buffer) (.remaining buffer)])
                                                             (buffers))]))
                           :on-message (fn [_ _])}]
      (websocket/with-socket [socket port]
        (is (= [[true true true] true [[true 2] [true 2] [true 2]]] (websocket/next-event events)))
        (is (= ["text" "builder" ""] (repeatedly 3 #(websocket/read-text socket))))
        (is (= [[1] [2 3] [2 3] [2 3]] (repeatedly 4 #(vec (:bytes (websocket/read-frame socket))))))))))

(deftest control-frames
  (with-listener [port {:on-open (fn [socket]
                                   (ws/ping socket)
                                   (ws/ping socket (byte-array [1]))
                                   (ws/ping socket (second (buffers)))
                                   (ws/pong socket)
                                   (protocols/-pong socket nil)
                                   (ws/pong socket (ByteBuffer/wrap (byte-array 125))))
                        :on-message (fn [_ _])}
                  {}]
    (websocket/with-socket [socket port]
      (is (= [[:ping []] [:ping [1]] [:ping [2 3]] [:pong []] [:pong []] [:pong (repeat 125 0)]]
             (repeatedly 6 #((juxt :type (comp vec :bytes)) (websocket/read-frame socket))))))))

(deftest wrong-data
  (let [events (websocket/events)
        attempt (fn [f] (try (f) (catch Exception e [(class e) (ex-message e)])))]
    (with-listener [port {:on-open (fn [socket]
                                     (run! #(websocket/note events (attempt %))
                                           [#(ws/send socket 1)
                                            #(ws/send socket nil)
                                            #(ws/send socket {:body "x"})
                                            #(ws/ping socket "text")
                                            #(ws/ping socket (byte-array 126))])
                                     (ws/send socket :x (fn [] (websocket/note events :sent)) #(websocket/note events (ex-message %)))
                                     (ws/send socket "still open"))
                          :on-message (fn [_ _])}
                    {}]
      (websocket/with-socket [socket port]
        (is (= "still open" (websocket/read-text socket)))
        (is (= [[IllegalArgumentException "A WebSocket message must be a CharSequence, ByteBuffer or byte[], got java.lang.Long"]
                [IllegalArgumentException "A WebSocket message must be a CharSequence, ByteBuffer or byte[], got nil"]
                [IllegalArgumentException
                 "A WebSocket message must be a CharSequence, ByteBuffer or byte[], got clojure.lang.PersistentArrayMap"]
                [IllegalArgumentException "The data of a ping or pong must be a ByteBuffer or byte[], got java.lang.String"]
                [IllegalArgumentException "Websocket control frame payload exceeds 125 bytes"]
                "A WebSocket message must be a CharSequence, ByteBuffer or byte[], got clojure.lang.Keyword"]
               (repeatedly 6 #(websocket/next-event events))))))))

(deftest after-the-end
  (let [events (websocket/events)]
    (with-listeners [port (recorder events
                                    :on-close (fn [socket _ _]
                                                (ws/send socket "x" #(websocket/note events :sent) #(websocket/note events (class %)))
                                                (websocket/note events [(ws/open? socket) (ws/send socket "x") (ws/ping socket)
                                                                        (ws/pong socket) (ws/close socket)])))]
      (websocket/with-socket [socket port]
        (websocket/send-close socket 1000 "")
        (is (= [[:on-open] IOException [false false false false false]] (repeatedly 3 #(websocket/next-event events))))))))

(deftest a-callback-that-sends-the-next
  (testing "as ring-websocket-async does: as many as there are, on any stack"
    (let [messages 30000
          done (promise)]
      (with-listener [port {:on-open (fn [socket]
                                       ((fn send-from [n]
                                          (if (= n messages)
                                            (deliver done true)
                                            (ws/send socket (str n) #(send-from (inc n)) #(deliver done %))))
                                        0))
                            :on-message (fn [_ _])}
                      {}]
        (websocket/with-socket [socket port]
          (is (= (range messages) (repeatedly messages #(Long/parseLong (websocket/read-text socket)))))
          (is (true? (raw/await-value done))))))))

(deftest a-callback-that-waits-for-another
  (let [outcome (promise)]
    (with-listener [port {:on-open (fn [socket]
                                     (ws/send socket "one"
                                              (fn []
                                                (let [sent (promise)]
                                                  (ws/send socket "two" #(deliver sent true) #(deliver sent %))
                                                  (deliver outcome (raw/await-value sent))))
                                              #(deliver outcome %)))
                          :on-message (fn [_ _])}
                    {}]
      (websocket/with-socket [_ port]
        (is (true? (raw/await-value outcome)))))))

(deftest asynchronous-sends
  (testing "succeed is called without arguments"
    (let [events (websocket/events)]
      (with-listeners [port {:on-message (fn [socket message]
                                           (ws/send socket message #(websocket/note events :sent) #(websocket/note events %)))}]
        (websocket/with-socket [socket port]
          (websocket/send-text socket "1")
          (is (= "1" (websocket/read-text socket)))
          (websocket/send-binary socket [2])
          (is (= [2] (vec (:bytes (websocket/read-frame socket)))))
          (is (= [:sent :sent] (repeatedly 2 #(websocket/next-event events))))))))
  (testing "not before a slow client has taken enough, and then once each"
    (let [events (websocket/events)
          message (string/join (repeat 65536 "x"))]
      (with-listener [port {:on-message (fn [socket _]
                                          (let [full? (atom false)
                                                sent (atom 0)]
                                            ;; The window and the sockets' buffers hold less than this.
                                            (dotimes [_ 200]
                                              (ws/send socket message
                                                       #(when (= 200 (swap! sent inc)) (websocket/note events :all-sent))
                                                       #(websocket/note events %)))
                                            (reset! full? (< @sent 200))
                                            (websocket/note events [:full? @full?])))}
                      {}]
        (websocket/with-socket [socket port :receive-buffer 8192]
          (websocket/send-text socket "go")
          (is (= [:full? true] (websocket/next-event events)))
          (is (websocket/no-event? events))
          (dotimes [_ 200]
            (is (= 65536 (count (websocket/read-text socket)))))
          (is (= :all-sent (websocket/next-event events)))
          (is (websocket/no-event? events))))))
  (testing "fail is called when the client goes instead"
    (let [events (websocket/events)
          message (string/join (repeat 65536 "x"))]
      (with-listener [port {:on-message (fn [socket _]
                                          (loop []
                                            (let [pending (atom true)]
                                              (ws/send socket message #(reset! pending false) #(websocket/note events %))
                                              (when-not @pending
                                                (recur))))
                                          (websocket/note events :full))}
                      {}]
        (websocket/with-socket [socket port :receive-buffer 8192]
          (websocket/send-text socket "go")
          (is (= :full (websocket/next-event events))))
        (is (instance? IOException (websocket/next-event events)))
        (is (websocket/no-event? events))))))
