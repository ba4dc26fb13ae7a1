(ns serve-ring-jetty
  "Starts one of the handler namespaces beside this file on ring-jetty-adapter.

    java -cp CLASS-PATH:bench/servers clojure.main -m serve-ring-jetty NAME [OPTIONS]

  NAME is a namespace with a var `handler`, OPTIONS an EDN map for `run-jetty`. Prints and
  listens as serve.clj does. Serves until the process is ended."
  (:require [clojure.edn :as edn]
            [ring.adapter.jetty :as jetty])
  (:import (org.eclipse.jetty.server NetworkConnector Server)))

(set! *warn-on-reflection* true)

(defn -main
  [name & [options]]
  (let [handler (requiring-resolve (symbol name "handler"))
        options (merge {:host "127.0.0.1" :port 0}
                       (edn/read-string (or options "{}"))
                       {:join? false})
        server  ^Server (jetty/run-jetty @handler options)]
    (println (str "port=" (.getLocalPort ^NetworkConnector (first (.getConnectors server)))
                  " java=" (System/getProperty "java.version")
                  " jetty=" (Server/getVersion)))
    (flush)
    @(promise)))
