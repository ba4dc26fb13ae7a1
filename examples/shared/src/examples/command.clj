(ns examples.command
  "How the examples run as commands: on PORT, until the process is asked to end."
  (:import (java.net BindException)))

(defn- port-of
  "Returns the port that the text is, or nil."
  [text]
  (when (re-matches #"\d{1,5}" text)
    (let [port (Long/parseLong text)]
      (when (<= port 65535)
        port))))

(defn- serve [title start stop-options port]
  (let [stop (start port)]
    (.addShutdownHook (Runtime/getRuntime) (Thread. ^Runnable #(apply stop stop-options)))
    (println (str title " is at http://localhost:" (:local-port (meta stop)) "/ - press Ctrl-C to end it."))))

(defn- give-up [message]
  (binding [*out* *err*]
    (println message))
  (System/exit 1))

(defn run
  "Serves on PORT, 8090 unless it is set.

  `start` takes the port and returns the function that stops the server, which is called with `stop-options`."
  [title start & stop-options]
  (let [text (or (System/getenv "PORT") "8090")]
    (if-let [port (port-of text)]
      (try
        (serve title start stop-options port)
        (catch BindException e
          (give-up (str (.getMessage e) "\nChoose another port, for example PORT=8091."))))
      (give-up (str "PORT must be a number from 0 to 65535, not " (pr-str text) ".")))))
