(ns serve-ring
  "Starts one of the handler namespaces beside this file with ring.adapter.httpkit-rs.

    java -cp CLASS-PATH:bench/servers clojure.main -m serve-ring NAME [OPTIONS]

  OPTIONS is an EDN map for `run-httpkit-rs`. Prints and listens as serve.clj does. Serves until the process is ended."
  (:require [clojure.edn :as edn]
            [ring.adapter.httpkit-rs :refer [run-httpkit-rs]])
  (:import (ring.adapter.httpkit_rs.server Server)))

(set! *warn-on-reflection* true)

(defn -main
  [name & [options]]
  (let [handler (requiring-resolve (symbol name "handler"))
        options (merge {:host "127.0.0.1" :port 0} (edn/read-string (or options "{}")) {:join? false})
        server  ^Server (run-httpkit-rs @handler options)]
    (println (str "port=" (.getPort server) " java=" (System/getProperty "java.version")))
    (flush)
    @(promise)))
