(ns tour.main
  "A tour of the server: an ordinary application for http-kit's API, with no library but Clojure itself.

  `make run` starts it on port 8090, or on PORT."
  (:require [examples.command :as command]
            [org.httpkit.server :as server]
            [tour.routes :as routes]))

(def ^:private upload-limit (* 64 1024 1024))

(defn start
  "Starts the tour on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (server/run-server #'routes/handler {:port port :max-body upload-limit}))

(defn -main
  "Serves on PORT, 8090 unless it is set, until the process is asked to end; exchanges under way may finish first."
  []
  (command/run "The tour" start :timeout 2000))
