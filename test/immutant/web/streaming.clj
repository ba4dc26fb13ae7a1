(ns immutant.web.streaming
  "HTTP streams and what clients get of them, for the tests of immutant.web.async."
  (:require [clojure.string :as string]
            [httpkit-rs.raw :as raw]
            [immutant.web.async :as async]
            [immutant.web.serving :as serving]))

(defn streaming
  "Returns a handler whose channel is given to `on-open`; `response` is merged into the response map."
  [on-open & {:keys [response options]}]
  (fn [request]
    (merge (async/as-channel request (assoc options :on-open on-open)) response)))

(defn exchange
  "Returns all that the client gets for one request to such a handler: [status-line header-lines body]."
  [on-open & {:keys [method version headers options run] :as arguments}]
  (serving/with-run [port (apply streaming on-open (mapcat identity (select-keys arguments [:response :options])))
                     (merge (serving/quiet) run)]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request (or method "GET") "/" :version version :headers (assoc headers "Connection" "close")))
      (let [[head body] (string/split (raw/read-rest connection) #"\r\n\r\n" 2)
            [status & lines] (string/split-lines head)]
        [status (remove #(re-find #"^(Server|Date|Connection):" %) lines) body]))))

(defn body-of
  "Returns the body that `exchange` gets."
  [& arguments]
  (last (apply exchange arguments)))

(defn chunks
  "Returns the chunks of a body, nil if it has no last one."
  [body]
  (loop [chunks [] body body]
    (let [[size rest] (string/split body #"\r\n" 2)
          size (Long/parseLong size 16)]
      (cond
        (zero? size) chunks
        (< (count rest) size) nil
        :else (recur (conj chunks (subs rest 0 size)) (subs rest (+ size 2)))))))

(def plain {:headers {"Content-Type" "text/plain"}})
