(ns ring-jetty-ws.adapter
  "run-jetty for applications with ring-jetty-ws: change the one `:require`, and the server is httpkit-rs."
  (:require [ring-jetty-ws.server-handle :as server-handle]
            [ring-jetty-ws.ws :as ws]
            [ring.adapter.httpkit-rs :as adapter]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn run-jetty
  "Starts a server for a Ring handler, as `ring.adapter.httpkit-rs/run-httpkit-rs`, whose options it takes and whose server it
  returns. It blocks unless `:join?` is false.

  `:configurator` is what `ring-jetty-ws.ws/configurator` returns, or a function that calls that with its own argument. No
  other function of a Jetty Server can work here: it is an IllegalArgumentException before anything is started."
  [handler options]
  (let [configurator (:configurator options)
        wrapped (if configurator
                  (ws/wrap-configurator handler (server-handle/configured configurator))
                  handler)]
    (adapter/run-httpkit-rs wrapped (dissoc options :configurator))))
