(ns send-stream
  "Answers 1 MiB in 128 sends of 8 KiB each."
  (:require [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)

(def ^:private ^bytes piece (byte-array 8192 (byte 120)))

(defn- stream [channel]
  (server/send! channel {:status 200 :headers {"Content-Type" "application/octet-stream"} :body piece} false)
  (dotimes [_ 126]
    (server/send! channel piece false))
  (server/send! channel piece true))

(defn handler [request]
  (server/as-channel request {:on-open stream}))
