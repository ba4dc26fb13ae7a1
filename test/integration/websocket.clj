(ns integration.websocket
  "The JDK's WebSocket client, for the integration tests: unlike `httpkit-rs.websocket` it is not ours, and it reads in
  the background and answers pings as any other program.

  What a connection hears goes into a queue: a String or byte[] for each message, [:closed code reason] for its end,
  [:failed message] for a connection lost."
  (:require [httpkit-rs.raw :as raw])
  (:import (java.io ByteArrayOutputStream)
           (java.net URI)
           (java.net.http HttpClient WebSocket WebSocket$Listener)
           (java.nio ByteBuffer)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)))

(defn- listener [^LinkedBlockingQueue events read?]
  (let [text (StringBuilder.)
        binary (ByteArrayOutputStream.)]
    (reify WebSocket$Listener
      (onOpen [_ socket]
        (when read?
          (.request socket Long/MAX_VALUE)))
      (onText [_ _ part last?]
        (.append text part)
        (when last?
          (.put events (str text))
          (.setLength text 0))
        nil)
      (onBinary [_ _ part last?]
        (let [bytes (byte-array (.remaining ^ByteBuffer part))]
          (.get ^ByteBuffer part bytes)
          (.writeBytes binary bytes))
        (when last?
          (.put events (.toByteArray binary))
          (.reset binary))
        nil)
      (onClose [_ _ code reason]
        (.put events [:closed code reason])
        nil)
      (onError [_ _ error]
        (.put events [:failed (.getMessage error)])))))

(defn connect
  "Opens a WebSocket to ws://127.0.0.1:<port><target>. With `:read? false` it takes nothing from the network. Throws an
  ExecutionException if the server refuses."
  [port target & {:keys [read? headers] :or {read? true}}]
  (let [events (LinkedBlockingQueue.)
        builder (.newWebSocketBuilder (HttpClient/newHttpClient))]
    (doseq [[header value] headers]
      (.header builder header value))
    {:events events
     :socket (.get (.buildAsync builder (URI. (str "ws://127.0.0.1:" port target)) (listener events read?))
                   (long raw/patience-millis) TimeUnit/MILLISECONDS)}))

(defn disconnect
  "Ends the connection without a Close frame."
  [{:keys [^WebSocket socket]}]
  (.abort socket))

(defmacro with-connection
  "Runs the body with a WebSocket to the target and ends it."
  [[name port target & options] & body]
  `(let [~name (connect ~port ~target ~@options)]
     (try ~@body (finally (disconnect ~name)))))

(defn send-message
  "Sends a String or byte[]."
  [{:keys [^WebSocket socket]} message]
  (.get (if (string? message)
          (.sendText socket message true)
          (.sendBinary socket (ByteBuffer/wrap message) true))
        (long raw/patience-millis) TimeUnit/MILLISECONDS))

(defn close
  "Sends a Close frame."
  [{:keys [^WebSocket socket]} code reason]
  (.get (.sendClose socket (int code) reason) (long raw/patience-millis) TimeUnit/MILLISECONDS))

(defn receive
  "Waits for the next message, or the end; `:timeout` if neither comes."
  [{:keys [^LinkedBlockingQueue events]}]
  (or (.poll events (long raw/patience-millis) TimeUnit/MILLISECONDS) :timeout))
