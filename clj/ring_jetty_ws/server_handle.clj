(ns ring-jetty-ws.server-handle
  "What a `:configurator` function gets in place of Jetty's Server: something that what `ring-jetty-ws.ws/configurator`
  returns, alone or called by a function around it, registers itself with. It has nothing else to offer.")

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(deftype ServerHandle [registered])

(defn register
  "Notes the configurator with the handle; there can be one. `handle` is whatever the configurator was called with: what
  is no handle is an IllegalArgumentException that says where the configurator belongs."
  [handle configurator]
  (when-not (instance? ServerHandle handle)
    (throw (IllegalArgumentException.
            (str "This ring-jetty-ws.ws/configurator is httpkit-rs's: use it with ring-jetty-ws.adapter/run-jetty. It was"
                 " called with " (if (nil? handle) "nil" (.getName (class handle)))))))
  (when-not (compare-and-set! (.registered ^ServerHandle handle) nil configurator)
    (throw (IllegalArgumentException. "A server takes one ring-jetty-ws.ws/configurator: only one could get the upgrades"))))

(defn- refusal [^Throwable cause]
  (IllegalArgumentException.
   (str ":configurator functions receive a Jetty Server; this server is httpkit-rs. It takes what"
        " ring-jetty-ws.ws/configurator returns, alone or called by a function that does nothing else with its argument."
        " What else they set on Jetty, run-jetty's options set here, see docs/MIGRATING.md"
        (when cause (str ". The function failed: " cause)))
   cause))

(defn configured
  "Calls the value of `:configurator` and returns what registered itself. Anything that is not
  `ring-jetty-ws.ws/configurator`'s, or does not call it, is an IllegalArgumentException."
  [configurator]
  (let [registered (atom nil)]
    (try
      (configurator (ServerHandle. registered))
      (catch Throwable failure
        (throw (refusal failure))))
    (or @registered (throw (refusal nil)))))
