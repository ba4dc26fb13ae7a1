(ns org.httpkit.engine.ring-websocket
  "Ring's WebSocket responses (SPEC section 3) on this server's channels: the handshake, the listener's callbacks in their
  order, and the socket they get.

  Needs ring.websocket.protocols, so `org.httpkit.engine.ring` loads it only where that can be."
  (:require [clojure.string :as string]
            [org.httpkit.engine.close-reason :as close-reason]
            [org.httpkit.engine.handshake :as handshake]
            [org.httpkit.engine.ring-listener :as ring-listener]
            [org.httpkit.engine.trampoline :as trampoline]
            [ring.websocket.protocols :as protocols])
  (:import (java.nio ByteBuffer)
           (org.httpkit.server AsyncChannel Frame$PingFrame Frame$PongFrame UpgradeOptions WebSocketResponse)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- message
  "Returns what a channel sends as text or binary; throws if it is neither."
  [data]
  (cond
    (instance? CharSequence data) (.toString ^CharSequence data)
    (or (instance? ByteBuffer data) (bytes? data)) data
    :else (throw (IllegalArgumentException.
                  (str "A WebSocket message must be a CharSequence, ByteBuffer or byte[], got " (pr-str (class data)))))))

(defn- control-data
  "Returns the payload of a ping or pong as bytes."
  ^bytes [data]
  (cond
    (bytes? data) data
    (nil? data) (byte-array 0)
    (instance? ByteBuffer data) (let [buffer (.duplicate ^ByteBuffer data)
                                      copy (byte-array (.remaining buffer))]
                                  (.get buffer copy)
                                  copy)
    :else (throw (IllegalArgumentException.
                  (str "The data of a ping or pong must be a ByteBuffer or byte[], got " (pr-str (class data)))))))

;; Implements the interfaces themselves: libraries extend their own protocols to ring.websocket.protocols.Socket.
(deftype Socket [^AsyncChannel channel]
  protocols/Socket
  (-open? [_] (not (.isClosed channel)))
  (-send [_ data] (.send channel (message data) false))
  (-ping [_ data] (.send channel (Frame$PingFrame. (control-data data)) false))
  (-pong [_ data] (.send channel (Frame$PongFrame. (control-data data)) false))
  (-close [_ code reason] (.serverClose channel (Math/toIntExact (long (or code 1000))) (close-reason/shortened reason)))

  protocols/AsyncSocket
  (-send-async [_ data succeed fail]
    (if-let [data (try (message data) (catch IllegalArgumentException e (fail e) nil))]
      ;; A callback that sends the next message is called from within the send.
      (.sendThen channel data false
                 #(trampoline/nest succeed)
                 (fn [exception] (trampoline/nest #(fail exception))))
      nil))

  Object
  (toString [_] (str channel)))

(defn- check-protocol [protocol request]
  (when (some? protocol)
    (let [offered (handshake/tokens (:headers request) "sec-websocket-protocol")]
      (when-not (some #{protocol} offered)
        (throw (IllegalArgumentException.
                (str ":ring.websocket/protocol " (pr-str protocol) " is none the client offers: "
                     (if (seq offered) (string/join ", " (map pr-str offered)) "it offers none"))))))))

(defn- check-alone [response]
  (when (instance? AsyncChannel (:body response))
    (throw (IllegalStateException.
            "Two listeners: the response has a :ring.websocket/listener, and its :body is a channel"))))

(defn- refuse-ordinary-request
  "Answers a request that asked for no upgrade, then throws for the log."
  [^AsyncChannel channel]
  (.send channel
         {:status 426
          :headers (assoc handshake/upgrade-required "Content-Type" "text/plain; charset=utf-8")
          :body "This resource is a WebSocket"}
         true)
  (throw (IllegalStateException. "The handler returned a :ring.websocket/listener, but the request asks for no upgrade")))

(defn- utf8-length
  "Returns the length of a valid text in UTF-8, in bytes."
  ^long [^String text]
  (let [end (.length text)]
    (loop [i 0, bytes 0]
      (if (= i end)
        bytes
        (let [c (int (.charAt text i))]
          (cond
            (< c 0x80) (recur (inc i) (inc bytes))
            (< c 0x800) (recur (inc i) (+ bytes 2))
            ;; Each half of a surrogate pair counts for two of its four bytes.
            (Character/isSurrogate (char c)) (recur (inc i) (+ bytes 2))
            :else (recur (inc i) (+ bytes 3))))))))

(defn- within?
  "Returns true for a message within its kind's own limit, which may be below the engine's."
  [{:keys [max-text max-binary]} data]
  (if (string? data)
    (or (nil? max-text) (<= (* 3 (.length ^String data)) (long max-text)) (<= (utf8-length data) (long max-text)))
    (or (nil? max-binary) (<= (alength ^bytes data) (long max-binary)))))

(defn- receiver
  "Returns the function of each message, a String or byte[]. A listener that leaves on-message out wants none."
  [{:keys [on-message on-error] :or {on-message (fn [_ _])}} limits ^Socket socket]
  (let [receive (fn [data]
                  (on-message socket (if (bytes? data) (ByteBuffer/wrap data) data)))]
    (if (:differ? limits)
      (fn [data]
        (if (within? limits data)
          (receive data)
          (let [reason "Max payload length exceeded"]
            (when on-error
              (on-error socket (java.io.IOException. reason)))
            (protocols/-close socket 1009 reason))))
      receive)))

(defn- call-on-open [{:keys [on-open on-error]} socket]
  (when on-open
    (try
      (on-open socket)
      (catch Throwable e
        (if on-error
          (on-error socket e)
          (throw e))))))

(defn- open
  "Upgrades the channel. The listener hears of it on this thread; its messages, and after them its end, wait in the channel
  for the receive handler."
  [^AsyncChannel channel headers {:keys [on-ping on-pong on-error on-close] :as listener} limits ^UpgradeOptions options]
  (let [socket (Socket. channel)
        opened? (volatile! false)]
    (when on-ping
      (.setPingHandler channel #(on-ping socket (ByteBuffer/wrap %))))
    (when on-pong
      (.setPongHandler channel #(on-pong socket (ByteBuffer/wrap %))))
    (when on-error
      (.setErrorHandler channel #(on-error socket %)))
    (when on-close
      ;; A channel may end without ever having been a WebSocket.
      (.setCloseRingHandler channel #(when @opened? (on-close socket %1 %2))))
    (when (.sendHandshake channel headers (if on-ping (.ownPong options) options))
      (vreset! opened? true)
      (try
        (call-on-open listener socket)
        (finally
          (.setReceiveHandler channel (receiver listener limits socket)))))))

(defn- upgrade-options
  ^UpgradeOptions [{:keys [idle-millis max-text max-binary raw-close-codes?]}]
  (cond-> (.orderedClose UpgradeOptions/DEFAULT)
    idle-millis (.idleMillis (int idle-millis))
    max-text (.maxMessage (int (max (long max-text) (long max-binary))))
    raw-close-codes? .rawCloseCodes))

(defn response
  "Returns what upgrades requests whose response carries a listener.

  Options:
    :idle-millis              - milliseconds without a frame after which a WebSocket is closed, 0 for never (default 0)
    :max-text, :max-binary    - bytes of a message, both or neither (default: the server's :max-ws)
    :raw-close-codes?         - whether on-close gets 1006 for a client that vanished, where http-kit says 1001"
  ^WebSocketResponse [{:keys [max-text max-binary] :as options}]
  (let [upgrade-options (upgrade-options options)
        limits (assoc options :differ? (not= max-text max-binary))]
    (reify WebSocketResponse
      (isUpgrade [_ response]
        (some? (.get response :ring.websocket/listener)))
      (upgrade [_ channel request response]
        (let [{:ring.websocket/keys [listener protocol]} response
              listener (ring-listener/callbacks listener)]
          (check-alone response)
          (cond
            (.isClosed channel) nil
            (not (.isWebSocket channel)) (refuse-ordinary-request channel)
            :else
            (if-let [accept (handshake/check request)]
              (do (check-protocol protocol request)
                  (open channel
                        (cond-> (handshake/switching accept)
                          protocol (assoc "Sec-WebSocket-Protocol" protocol))
                        listener limits upgrade-options))
              (.send channel (handshake/refusal request handshake/bad-key) true))))))))
