(ns immutant-websocket
  "The echo of websocket.clj through immutant.web.async."
  (:require [immutant.web.async :as async]))

(set! *warn-on-reflection* true)

(defn- echo [channel message]
  (async/send! channel message))

(defn handler [request]
  (async/as-channel request :on-message echo :on-close (fn [_channel _status])))
