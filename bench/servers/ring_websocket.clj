(ns ring-websocket
  "The echo of websocket.clj as a listener of ring.websocket."
  (:require [ring.websocket.protocols :as protocols]))

(set! *warn-on-reflection* true)

(defn handler [_request]
  {:ring.websocket/listener
   (reify protocols/Listener
     (on-open [_ _socket])
     (on-message [_ socket message] (protocols/-send socket message))
     (on-pong [_ _socket _data])
     (on-error [_ _socket _error])
     (on-close [_ _socket _code _reason]))})
