(ns ring.websocket
  "A test double of the namespace Ring 1.11 and newer have under this name: maps listen, and functions wrap the socket's
  methods."
  (:refer-clojure :exclude [send])
  (:require [ring.websocket.protocols :as protocols])
  (:import (clojure.lang IPersistentMap)
           (java.nio ByteBuffer)))

(defn- call [listener key & arguments]
  (some-> (get listener key) (apply arguments)))

(extend-type IPersistentMap
  protocols/Listener
  (on-open [listener socket] (call listener :on-open socket))
  (on-message [listener socket message] (call listener :on-message socket message))
  (on-pong [listener socket data] (call listener :on-pong socket data))
  (on-error [listener socket throwable] (call listener :on-error socket throwable))
  (on-close [listener socket code reason] (call listener :on-close socket code reason))

  protocols/PingListener
  (on-ping [listener socket data]
    (if (contains? listener :on-ping)
      (call listener :on-ping socket data)
      (protocols/-pong socket data))))

(defn open? [socket] (boolean (protocols/-open? socket)))

(defn send
  ([socket message] (protocols/-send socket message))
  ([socket message succeed fail] (protocols/-send-async socket message succeed fail)))

(defn ping
  ([socket] (ping socket (ByteBuffer/allocate 0)))
  ([socket data] (protocols/-ping socket data)))

(defn pong
  ([socket] (pong socket (ByteBuffer/allocate 0)))
  ([socket data] (protocols/-pong socket data)))

(defn close
  ([socket] (close socket 1000 "Normal Closure"))
  ([socket code reason] (protocols/-close socket code reason)))
