(ns serve
  "Starts one of the handler namespaces beside this file on whichever `org.httpkit.server`
  the class path provides: ours and http-kit run the same code.

    java -cp CLASS-PATH:bench/servers clojure.main -m serve NAME [OPTIONS]

  NAME is a namespace with a var `handler`, OPTIONS an EDN map for `run-server`. Listens on
  127.0.0.1, on a free port unless OPTIONS names one, and prints `port=N` with the versions.
  Serves until the process is ended."
  (:require [clojure.edn :as edn]
            [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)

(defn- handler
  "The handler of the namespace `name`, or an exception that says which namespace lacks one."
  [name]
  (or (requiring-resolve (symbol name "handler"))
      (throw (IllegalArgumentException. (str "namespace " name " has no var handler")))))

(defn -main
  [name & [options]]
  (let [options (merge {:ip "127.0.0.1" :port 0}
                       (edn/read-string (or options "{}"))
                       {:legacy-return-value? false})
        started (server/run-server @(handler name) options)]
    (println (str "port=" (server/server-port started)
                  " java=" (System/getProperty "java.version")
                  " clojure=" (clojure-version)))
    (flush)
    @(promise)))
