(ns ring-jetty-ws.policy
  "The limits of a WebSocket: how an application states them, and what they are by default.

  They are plain data, options of `ring-jetty-ws.ws/configurator`; or set on the object its `:ws-factory-configurator`
  gets, which has the methods of Jetty's WebSocketServletFactory and WebSocketPolicy that mean something here."
  (:require [clojure.string :as string]
            [org.httpkit.engine.check :as check]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def defaults
  "Those of Jetty 9's policy. A time of 0 is none; a size of 0 is any an int can count."
  {:idle-timeout-ms 300000
   :max-text-size 65536
   :max-binary-size 65536
   :write-timeout-ms 60000})

(defn- whole
  "Returns the option's value as one from 0 to Integer/MAX_VALUE; what is below, or nil, is 0, as in Jetty."
  [option value]
  (cond
    (nil? value) 0
    (not (integer? value))
    (check/refuse option "a whole number" value)

    :else (-> (biginteger value) (.max BigInteger/ZERO) (.min (BigInteger/valueOf Integer/MAX_VALUE)) .longValue)))

(definterface WebSocketPolicy
  (^void setIdleTimeout [^long millis])
  (^void setAsyncWriteTimeout [^long millis])
  (^void setMaxTextMessageSize [^int bytes])
  (^void setMaxBinaryMessageSize [^int bytes])
  (^void setMaxTextMessageBufferSize [^int bytes])
  (^void setMaxBinaryMessageBufferSize [^int bytes])
  (^void setInputBufferSize [^int bytes]))

(definterface WebSocketServletFactory
  (getPolicy [])
  (^void register [listener])
  (getExtensionFactory [])
  (^void setCreator [creator]))

;; The engine's buffers grow with what arrives: there is nothing to choose.
(deftype Policy [limits]
  WebSocketPolicy
  (setIdleTimeout [_ millis] (swap! limits assoc :idle-timeout-ms millis) nil)
  (setAsyncWriteTimeout [_ millis] (swap! limits assoc :write-timeout-ms millis) nil)
  (setMaxTextMessageSize [_ bytes] (swap! limits assoc :max-text-size bytes) nil)
  (setMaxBinaryMessageSize [_ bytes] (swap! limits assoc :max-binary-size bytes) nil)
  (setMaxTextMessageBufferSize [_ _bytes])
  (setMaxBinaryMessageBufferSize [_ _bytes])
  (setInputBufferSize [_ _bytes]))

(defn- unsupported [method]
  (throw (UnsupportedOperationException.
          (str method " is Jetty's own: httpkit-rs has no WebSocketServletFactory, only its getPolicy() for limits"))))

(deftype Factory [policy]
  WebSocketServletFactory
  (getPolicy [_] policy)
  (register [_ _listener] (unsupported "register"))
  (getExtensionFactory [_] (unsupported "getExtensionFactory"))
  (setCreator [_ _creator] (unsupported "setCreator")))

(defn limits
  "Returns the limits that configurator's options ask for, as the keys of `defaults`. The factory configurator is called
  here and has the last word. An unknown option is an IllegalArgumentException."
  [{:keys [ws-factory-configurator] :as options}]
  (let [accepted (conj (set (keys defaults)) :ws-factory-configurator)
        chosen (atom (merge defaults (dissoc options :ws-factory-configurator)))]
    (doseq [option (keys options)]
      (when-not (accepted option)
        (throw (IllegalArgumentException.
                (str "Unknown option " option " of ring-jetty-ws.ws/configurator; it takes "
                     (string/join ", " (sort accepted)))))))
    (when ws-factory-configurator
      (ws-factory-configurator (Factory. (Policy. chosen))))
    (into {} (for [[option value] @chosen] [option (whole option value)]))))
