(ns serve-immutant
  "Starts one of the handler namespaces beside this file with immutant.web.

    java -cp CLASS-PATH:bench/servers clojure.main -m serve-immutant NAME [OPTIONS]

  OPTIONS is an EDN map for `immutant.web/run`. Prints and listens as serve.clj does. Serves until the process is ended."
  (:require [clojure.edn :as edn]
            [immutant.web :as web]))

(set! *warn-on-reflection* true)

(defn -main
  [name & [options]]
  (let [handler (requiring-resolve (symbol name "handler"))
        running (web/run @handler (merge {:host "127.0.0.1" :port 0} (edn/read-string (or options "{}"))))]
    (println (str "port=" (:port running) " java=" (System/getProperty "java.version")))
    (flush)
    @(promise)))
