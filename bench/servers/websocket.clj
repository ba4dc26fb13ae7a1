(ns websocket
  "WebSockets by as-channel: /echo returns each message, and who listens on /listen gets what anybody says on /shout."
  (:require [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)

(def ^:private listeners (atom #{}))

(defn- echo [channel message]
  (server/send! channel message))

(defn- shout
  "Sends the message to every listener, as chat servers for http-kit do."
  [_channel message]
  (doseq [listener @listeners]
    (server/send! listener message)))

(defn- leave [channel _status]
  (swap! listeners disj channel))

(defn handler [{:keys [uri] :as request}]
  (server/as-channel request
    (case uri
      "/echo"   {:on-receive echo :on-close (fn [_channel _status])}
      "/listen" {:on-open #(swap! listeners conj %) :on-close leave}
      "/shout"  {:on-receive shout})))
