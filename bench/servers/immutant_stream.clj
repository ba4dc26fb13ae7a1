(ns immutant-stream
  "The stream of send_stream.clj through immutant.web.async."
  (:require [immutant.web.async :as async]))

(set! *warn-on-reflection* true)

(def ^:private ^bytes piece (byte-array 8192 (byte 120)))

(defn- stream [channel]
  (dotimes [_ 127]
    (async/send! channel piece))
  (async/send! channel piece :close? true))

(defn handler [request]
  (assoc (async/as-channel request :on-open stream)
         :headers {"Content-Type" "application/octet-stream"}))
