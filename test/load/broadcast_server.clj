(ns load.broadcast-server
  "The server of the load tests, in a process of its own, so that its memory is nobody else's.

  Who listens on the WebSocket /listen gets every message sent to /shout. GET /opened?n answers true once n listeners have come:
  a client has its 101 before that. GET /closed waits until a listener has gone and answers [the first one's status, how
  many have gone]. Prints `port=N`; ends with its standard input."
  (:require [clojure.edn :as edn]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)

(def ^:private patience-millis 20000)

(def ^:private listeners (atom #{}))
(def ^:private first-gone (promise))
(def ^:private gone (atom 0))

(defn- shout [_channel message]
  (doseq [listener @listeners]
    (server/send! listener message)))

(defn- come? [^long how-many]
  (<= how-many (+ (count @listeners) (long @gone))))

(defn- leave [channel status]
  (swap! listeners disj channel)
  (swap! gone inc)
  (deliver first-gone status))

(defn- handler [{:keys [uri query-string] :as request}]
  (case uri
    "/listen" (server/as-channel request {:on-open #(swap! listeners conj %) :on-close leave})
    "/shout"  (server/as-channel request {:on-receive shout})
    "/opened" {:status 200 :body (pr-str (raw/await-true #(come? (parse-long query-string))))}
    "/closed" {:status 200 :body (pr-str [(deref first-gone patience-millis :nobody) @gone])}))

(defn -main
  "Serves with OPTIONS, an EDN map for `run-server`."
  [options]
  (let [started (server/run-server handler (merge {:ip "127.0.0.1" :port 0 :legacy-return-value? false}
                                                  (edn/read-string options)))]
    (println (str "port=" (server/server-port started)))
    (flush)
    (while (nat-int? (.read System/in)))
    (System/exit 0)))
