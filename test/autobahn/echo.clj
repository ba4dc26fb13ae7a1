(ns autobahn.echo
  "The server under test: sends every WebSocket message back as it came.

  Prints its port as the first line and ends with its standard input, so that it never outlives its driver."
  (:require [org.httpkit.server :as server]))

(def ^:private max-message-bytes
  "Cases 9.1.6 and 9.2.6 send 16 MiB."
  (* 17 1024 1024))

(defn- echo [request]
  (server/as-channel request {:on-receive server/send!}))

(defn -main []
  (let [stop (server/run-server echo {:ip "127.0.0.1" :port 0 :max-ws max-message-bytes
                                      :max-pending (* 2 max-message-bytes)})]
    (println (:local-port (meta stop)))
    (flush)
    (while (<= 0 (.read System/in)))
    (stop)
    (shutdown-agents)))
