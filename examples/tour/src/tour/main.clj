(ns tour.main
  "A tour of the server: an ordinary application for http-kit's API, with no library but Clojure itself.

  `make run` starts it on port 8090, or on PORT."
  (:require [org.httpkit.server :as server]
            [tour.routes :as routes])
  (:import (java.net BindException)))

(def ^:private upload-limit (* 64 1024 1024))

(defn start
  "Starts the tour on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (server/run-server #'routes/handler {:port port :max-body upload-limit}))

(defn- port-from-environment []
  (let [text (or (System/getenv "PORT") "8090")
        port (when (re-matches #"\d{1,5}" text) (Long/parseLong text))]
    (if (and port (<= (long port) 65535))
      port
      (throw (IllegalArgumentException. (str "PORT must be a number from 0 to 65535, not " (pr-str text)))))))

(defn- give-up [message]
  (binding [*out* *err*]
    (println message))
  (System/exit 1))

(defn -main
  "Serves until the process is asked to end; exchanges under way may finish first."
  []
  (try
    (let [stop (start (port-from-environment))]
      (.addShutdownHook (Runtime/getRuntime) (Thread. ^Runnable #(stop :timeout 2000)))
      (println (str "The tour is at http://localhost:" (:local-port (meta stop)) "/ - press Ctrl-C to end it.")))
    (catch IllegalArgumentException e
      (give-up (.getMessage e)))
    (catch BindException e
      (give-up (str (.getMessage e) "\nChoose another port: make run PORT=8091")))))
