(ns ring-jetty-ws.ws
  "ring-jetty-ws on httpkit-rs: WebSockets beside a Ring handler, by a handshake handler and a map of callbacks.

  Every request for an upgrade goes to the handshake handler and never to the Ring handler. The server is started by
  `ring-jetty-ws.adapter/run-jetty`, or by any other way to run a Ring handler with `wrap-configurator`."
  (:require [org.httpkit.engine.close-reason :as close-reason]
            [ring-jetty-ws.handshake :as handshake]
            [ring-jetty-ws.policy :as policy]
            [ring-jetty-ws.server-handle :as server-handle])
  (:import (clojure.lang AFn IFn RT)
           (java.io IOException)
           (java.nio ByteBuffer)
           (java.util Map)
           (java.util.concurrent.atomic AtomicBoolean)
           (org.httpkit.server AsyncChannel HttpServer UpgradeOptions)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defprotocol WebSocket
  "An open WebSocket, the first argument of every callback. Its functions may be called from any thread."
  (send! [ws msg]
    "Sends a text, a CharSequence. Blocks while the client does not take what was sent before; an IOException if it does
    not for `:write-timeout-ms`, or if the WebSocket is closed. Returns nil.")
  (send-bin! [ws data]
    "Sends a ByteBuffer from its position to its limit, which is its position then, or a byte[]. As `send!` otherwise.")
  (close! [ws] [ws status reason]
    "Closes the WebSocket, by default with 1000 and without a reason; of a longer reason the first 123 bytes of UTF-8 are
    sent. A code that may not be sent is an IllegalArgumentException. Returns nil, also if it is closed.")
  (connected? [ws]
    "Returns true until the WebSocket is closed, by whomever.")
  (unwrap [ws]
    "Returns the org.httpkit.server.AsyncChannel below, where Jetty's Session was."))

;;;; The socket

(defn- send-blocking [^AsyncChannel channel data ^long timeout-millis]
  (when-not (.sendBlocking channel data false timeout-millis)
    (throw (IOException. "The WebSocket is closed"))))

(defn- bytes-of [^ByteBuffer buffer]
  (let [bytes (byte-array (.remaining buffer))]
    (.get buffer bytes)
    bytes))

;; closed-here - whether close! has been called. No message is delivered after that; those before the client's Close all are.
(deftype Socket [^AsyncChannel channel ^long write-timeout-millis ^AtomicBoolean closed-here]
  WebSocket
  (send! [_ msg]
    (when-not (instance? CharSequence msg)
      (throw (IllegalArgumentException. (str "send! takes a CharSequence, got " (pr-str (class msg))))))
    (send-blocking channel (str msg) write-timeout-millis))
  (send-bin! [_ data]
    (when-not (or (bytes? data) (instance? ByteBuffer data))
      (throw (IllegalArgumentException. (str "send-bin! takes a ByteBuffer or byte[], got " (pr-str (class data))))))
    (send-blocking channel (if (bytes? data) data (bytes-of data)) write-timeout-millis))
  (close! [_]
    (.serverClose channel 1000 "")
    (.set closed-here true))
  (close! [_ status reason]
    (.serverClose channel (int status) (close-reason/shortened reason))
    (.set closed-here true))
  (connected? [_] (not (.isClosed channel)))
  (unwrap [_] channel)

  Object
  (toString [_] (str channel)))

;;;; Callbacks

(defn- report
  "Tells `:on-error`. What that throws is logged: nobody is left to tell."
  [^Socket socket {:keys [on-error]} failure]
  (try
    (on-error socket failure)
    (catch Throwable second-failure
      (.warn ^AsyncChannel (.-channel socket) ":on-error threw" second-failure))))

(defn- fail
  "Reports what a callback threw, to the server without `:on-error`, and closes with what Jetty closes with."
  [socket callbacks ^Throwable failure]
  (when (:on-error callbacks)
    (report socket callbacks failure))
  (close! socket 1011 (.getSimpleName (class failure)))
  (when-not (:on-error callbacks)
    (throw failure)))

(defn- too-large
  "Refuses a message: the engine has one limit, the larger one, for both types."
  [socket callbacks ^String reason]
  (when (:on-error callbacks)
    (report socket callbacks (IOException. reason)))
  (close! socket 1009 reason))

(defn- utf8-length ^long [^String text ^long limit]
  (cond
    (> (.length text) limit) (.length text)
    (<= (* 3 (.length text)) limit) (.length text)
    :else (alength (.getBytes text "UTF-8"))))

(defn- receiver
  "Returns the function of each message."
  [^Socket socket {:keys [on-text on-binary] :as callbacks} {:keys [max-text-size max-binary-size]}]
  (fn [message]
    (when-not (.get ^AtomicBoolean (.-closed-here socket))
      (let [text? (string? message)
            limit (long (if text? max-text-size max-binary-size))
            size (if text? (utf8-length message limit) (alength ^bytes message))]
        (if (< 0 limit size)
          (too-large socket callbacks
                     (str (if text? "Text" "Binary") " message size [" size "] exceeds maximum size [" limit "]"))
          (try
            (if text?
              (when on-text (on-text socket message))
              (when on-binary (on-binary socket message 0 size)))
            (catch Throwable failure
              (fail socket callbacks failure))))))))

(defn- options ^UpgradeOptions [{:keys [idle-timeout-ms max-text-size max-binary-size]}]
  (let [any-size? (or (zero? (long max-text-size)) (zero? (long max-binary-size)))]
    (-> UpgradeOptions/DEFAULT
        (.idleMillis (int idle-timeout-ms))
        (.maxMessage (if any-size? Integer/MAX_VALUE (int (max (long max-text-size) (long max-binary-size)))))
        (.orderedClose)
        (.rawCloseCodes))))

(defn- closed
  "Calls `:on-close` with the reason Jetty gives where the wire has none."
  [socket on-close code reason]
  (on-close socket code (cond
                          (= 1006 code) "Disconnected"
                          (seq reason) reason)))

(defn- open
  "Makes the channel a WebSocket. The callback for messages is set last: none comes before `:on-connect` has returned. No
  callback is called if the client has gone before the handshake."
  [^AsyncChannel channel ^Map headers {:keys [on-connect on-close on-error] :as callbacks} limits]
  (let [socket (Socket. channel (:write-timeout-ms limits) (AtomicBoolean.))
        opened? (volatile! false)]
    (when on-close
      (.setCloseRingHandler channel (fn [code reason]
                                      (when @opened?
                                        (closed socket on-close code reason)))))
    (when on-error
      (.setErrorHandler channel (fn [failure] (report socket callbacks failure))))
    (when (.sendHandshake channel headers (options limits))
      (vreset! opened? true)
      (when on-connect
        (try
          (on-connect socket)
          (catch Throwable failure
            (fail socket callbacks failure))))
      (.setReceiveHandler channel (receiver socket callbacks limits)))
    {:body channel}))

;;;; Wiring

(defn- answer
  "Returns the response to a request for an upgrade."
  [{:keys [handshake-handler limits]} {:keys [uri async-channel] :as request}]
  (or (handshake/malformed request)
      (let [{:keys [headers ws-handlers] :as response} (handshake-handler (handshake/request-map request))]
        (if (handshake/accepted? response)
          (open async-channel (handshake/acceptance request headers) ws-handlers limits)
          (let [{:keys [mistaken? response]} (handshake/refusal response)]
            (when mistaken?
              (.warn ^AsyncChannel async-channel
                     (str "GET " uri ": the handshake handler returned no :ws-handlers, or a :status that goes with none;"
                          " answered " (:status response))
                     nil))
            response)))))

(defrecord WsConfigurator [handshake-handler limits]
  IFn
  (invoke [this server] (server-handle/register server this))
  (applyTo [this arguments] (AFn/applyToHelper this arguments)))

(defn configurator
  "Returns the value for `:configurator` of `ring-jetty-ws.adapter/run-jetty`.

  `handshake-handler` is called with a request map for each request for an upgrade. To let the client in it returns a map
  with `:ws-handlers`, and no `:status` or 101; else one with the `:status` to refuse it with (403 without one). `:headers`
  go with either; a Sec-WebSocket-Protocol among them must be one the client offered.

  `:ws-handlers`, each optional, called one at a time for each WebSocket:
    :on-connect - (fn [ws]), before any other
    :on-text    - (fn [ws text])
    :on-binary  - (fn [ws bytes offset length]), a byte[]
    :on-close   - (fn [ws code reason]), once, after `close!` without waiting for the client; the reason may be nil
    :on-error   - (fn [ws throwable]), before :on-close, for what callbacks throw and what the client does wrong; without it
                  the server's :error-logger hears what callbacks throw

  Options; 0 is no limit:
    :idle-timeout-ms         - milliseconds without a frame in either direction (default 300000)
    :max-text-size           - bytes of a text message (default 65536)
    :max-binary-size         - bytes of a binary message (default 65536)
    :write-timeout-ms        - milliseconds that `send!` waits for the client (default 60000)
    :ws-factory-configurator - function of an object whose getPolicy() has Jetty's setters for these; it has the last word"
  ([handshake-handler] (configurator handshake-handler {}))
  ([handshake-handler options] (->WsConfigurator handshake-handler (policy/limits options))))

(defn wrap-configurator
  "Returns the Ring handler with the configurator's handshake handler in front: for `org.httpkit.server/run-server`, and
  all others whose requests have an `:async-channel`. Takes synchronous and asynchronous handlers."
  [handler configurator]
  (fn
    ([request]
     (if (handshake/upgrade? request)
       (answer configurator request)
       (handler request)))
    ([request respond raise]
     (if (handshake/upgrade? request)
       (when-let [response (try
                             (answer configurator request)
                             (catch Throwable failure
                               (raise failure)
                               nil))]
         (respond response))
       (handler request respond raise)))))

(defn- servlet-function [name]
  (throw (UnsupportedOperationException.
          (str "ring-jetty-ws.ws/" name " takes objects of Jetty's. The handshake handler gets the request as a map and"
               " returns the response as one"))))

(defn ^:no-doc build-request-map [_request] (servlet-function "build-request-map"))
(defn ^:no-doc set-headers [_response _headers] (servlet-function "set-headers"))
(defn ^:no-doc update-servlet-response [_response _map] (servlet-function "update-servlet-response"))

(defn ^:no-doc original?
  "Returns true if the class loader finds the ring-jetty-ws that runs on Jetty."
  [^ClassLoader loader]
  (some? (.getResource loader "ring-jetty-ws/Listener.class")))

(when (original? (RT/baseLoader))
  (.log HttpServer/DEFAULT_WARN_LOGGER
        (str "Both httpkit-rs and ring-jetty-ws are on the class path, and both define ring-jetty-ws.ws: the first wins. "
             "This is httpkit-rs's")
        nil))
