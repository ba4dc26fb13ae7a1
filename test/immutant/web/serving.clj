(ns immutant.web.serving
  "Runs handlers with immutant.web on a port of their own, for the tests of its namespaces."
  (:require [httpkit-rs.raw :as raw]
            [immutant.web :as web])
  (:import (java.util Locale)))

(defn quiet
  "Returns options that keep what is expected to be logged off the screen and in the atom `log`, as [message exception]."
  ([] (quiet (atom [])))
  ([log]
   {:server-options (raw/quiet log)}))

(defmacro with-run
  "Runs the body with `port` bound to the port of a server that `immutant.web/run` started for the handler, then stops it."
  [[port handler options] & body]
  `(let [running# (web/run ~handler (merge {:port 0 :host "127.0.0.1"} ~options))
         ~port (:port running#)]
     (try ~@body (finally (web/stop running#)))))

(defmacro in-turkish
  "Runs the body under a default locale in which I and i are no pair."
  [& body]
  `(let [locale# (Locale/getDefault)]
     (try
       (Locale/setDefault (Locale/forLanguageTag "tr"))
       ~@body
       (finally (Locale/setDefault locale#)))))
