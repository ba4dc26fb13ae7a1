(ns org.httpkit.engine.options
  "Checks run-server's options and turns them into what the engine takes.

  Every function throws before anything is bound or started. The exception names the option and what it accepts, and has
  the class http-kit throws, where http-kit throws."
  (:require [clojure.string :as string]
            [org.httpkit.engine.check :as check])
  (:import (java.util.concurrent ExecutorService)
           (org.httpkit.engine Configuration)
           (org.httpkit.logger ContextLogger EventLogger EventNames)
           (org.httpkit.server HttpServer SlowClient Telemetry)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn checked
  "Returns run-server's options as a map, which may be nil."
  [options]
  (if (or (nil? options) (map? options))
    options
    (check/refuse "The options" "a map" options)))

(defn- integer
  "Returns the option, or `default` if it is absent, as a long of at least `minimum` that fits an int. For the options of
  http-kit, which does not take nil."
  ^long [options option default minimum]
  (check/whole option (get options option default) [minimum Integer/MAX_VALUE]))

(defn- own
  "Returns the options without one that http-kit does not have, if it is nil: that means the default, too."
  [options option]
  (if (nil? (get options option))
    (dissoc options option)
    options))

(defn own-integer
  "As `integer`, for the options that http-kit does not have."
  ^long [options option default minimum]
  (integer (own options option) option default minimum))

(defn- optional
  "Returns the option, at most `maximum`; nil and 0 both mean that there is none."
  (^long [options option default]
   (optional options option default Integer/MAX_VALUE))
  (^long [options option default maximum]
   (let [value (get options option default)]
     (if (nil? value)
       0
       (check/whole option value [0 maximum])))))

(defn- choice
  "Returns the value in `choices` for the option."
  [options option default choices]
  (let [value (get options option default)
        found (get choices value ::none)]
    (if (= found ::none)
      (throw (IllegalArgumentException.
              (str "No matching clause: " value " (" option " must be one of " (string/join ", " (keys choices)) ")")))
      found)))

(defn handler
  "Returns the handler if it is a function or anything that can be called as one."
  [value]
  (if (ifn? value)
    value
    (check/refuse "The handler" "a function or a var of one" value)))

(defn- context-logger ^ContextLogger [options option default]
  (if-let [function (check/function option (get options option))]
    (reify ContextLogger (log [_ event context] (function event context)))
    default))

(defn- event-names ^EventNames [names]
  (cond
    (nil? names) EventNames/DEFAULT
    (map? names) (try
                   (EventNames. names)
                   (catch ClassCastException _
                     (check/wrong-class :event-names "a map whose values are strings" names)))
    (instance? EventNames names) names
    :else (throw (IllegalArgumentException.
                  (str "Invalid event-names: (" (class names) ") " (pr-str names)
                       " - :event-names must be a map with String keys, or an EventNames")))))

(defn telemetry
  "Returns the loggers and event names."
  ^Telemetry [options]
  (Telemetry. (context-logger options :error-logger ContextLogger/ERROR_PRINTER)
              (context-logger options :warn-logger HttpServer/DEFAULT_WARN_LOGGER)
              (if-let [event-logger (check/function :event-logger (:event-logger options))]
                (reify EventLogger (log [_ event] (event-logger event)))
                EventLogger/NOP)
              (event-names (:event-names options))))

(defn ring-async?
  "Returns true if handlers take [request respond raise]."
  [options]
  (check/switch :ring-async? (:ring-async? options)))

(defn worker-pool
  "Returns the user's pool, or nil if there is none."
  ^ExecutorService [options]
  (let [pool (or (force (:worker-pool options)) nil)]
    (if (or (nil? pool) (instance? ExecutorService pool))
      pool
      (check/wrong-class :worker-pool "a java.util.concurrent.ExecutorService, or a delay of one" pool))))

(defn dispatch
  "Returns the mode of `Configuration`. A pool of the user's own is meant to run every handler."
  ^long [options]
  (let [default (if (:worker-pool options) :pool :adaptive)]
    (long (choice (own options :dispatch) :dispatch default
                  {:pool Configuration/DISPATCH_POOL
                   :in-place Configuration/DISPATCH_IN_PLACE
                   :adaptive Configuration/DISPATCH_ADAPTIVE}))))

(defn in-place-budget
  "Returns how long a handler may run in place before its route counts as slow, in microseconds."
  ^long [options]
  (own-integer options :in-place-budget 200 1))

(defn slow-client
  "Returns what `send!` does when a client takes too little."
  ^SlowClient [options]
  (choice (own options :slow-client) :slow-client :close
          {:close SlowClient/CLOSE :block SlowClient/BLOCK :drop SlowClient/DROP}))

(def ^:private most-trusted-proxies
  "As many as their count in the configuration block has room for."
  65535)

(def ^:private longest-network
  "In characters: an IPv6 address with an IPv4 tail, and a prefix."
  50)

(defn- trusted-proxies [options]
  (let [value (:trusted-proxies options)
        network? #(and (string? %) (<= (count %) (long longest-network)))]
    (cond
      (not (and (or (nil? value) (sequential? value) (set? value)) (every? network? value)))
      (check/refuse :trusted-proxies "a collection of networks such as \"10.0.0.0/8\"" value)

      (< (long most-trusted-proxies) (count value))
      (check/refuse "The number of :trusted-proxies" (str "at most " most-trusted-proxies) (count value))

      :else (vec value))))

(def ^:private longest-server-header
  "In characters. The header goes out with every answer."
  8192)

(defn- server-header ^String [options]
  (let [value (get options :server-header "http-kit")]
    (when-not (or (nil? value) (string? value))
      (check/wrong-class :server-header "a string, or nil for no header" value))
    (cond
      (re-find #"[\u0000-\u0008\u000a-\u001f\u007f]" (or value ""))
      (check/refuse :server-header "a string without control characters" value)
      (< (long longest-server-header) (count value))
      (check/refuse "The length of :server-header" (str "at most " longest-server-header) (count value))
      :else value)))

(def ^:private least-head-bytes
  "http-kit's limit for the request line and all header lines together, unless one line may be longer."
  65536)

(def ^:private most-bytes
  "More than any machine has, and exact as a double."
  (bit-shift-left 1 50))

(defn- max-pending-total
  "Returns how many bytes may wait for all clients. http-kit holds them in the heap, so the size of the heap says what the user can spare."
  ^long [options]
  (let [quarter (quot (.maxMemory (Runtime/getRuntime)) 4)]
    (optional options :max-pending-total (min quarter (long most-bytes)) most-bytes)))

(defn- max-received-total
  "Returns how many bytes may be held for what is not complete: it goes into the heap once it is. One request or message always fits,
  but for a body that is read while it arrives."
  ^long [options max-collected max-ws]
  (let [quarter (quot (.maxMemory (Runtime/getRuntime)) 4)
        largest (max quarter (long max-collected) (long max-ws))]
    (optional options :max-received-total (min largest (long most-bytes)) most-bytes)))

(defn configuration
  "Returns everything but the address, which `org.httpkit.engine.address` adds."
  ^Configuration [options]
  (let [stream-body? (check/switch :stream-body? (:stream-body? options))
        ;; What is not held may be of any length.
        max-body (check/whole :max-body (get options :max-body 8388608) [0 (if stream-body? most-bytes Integer/MAX_VALUE)])
        max-ws (integer options :max-ws 4194304 0)
        max-line (integer options :max-line 8192 1)
        max-headers (own-integer options :max-headers 128 1)]
    (when (> max-headers 256)
      (check/refuse :max-headers "a number from 1 to 256" max-headers))
    (doto (Configuration.)
      (.limits max-body (int max-line) (int (max (long least-head-bytes) max-line))
               (int max-headers) (int (own-integer options :max-connections 0 0)))
      (.streamBody stream-body?)
      (.timeouts (int (optional options :header-timeout 30000))
                 (int (optional options :body-timeout 60000))
                 (int (optional options :write-timeout 60000))
                 (int (optional options :keep-alive-timeout 75000)))
      (.clientAddress (int (choice options :proxy-protocol :disable {:disable 0 :enable 1 :optional 2}))
                      (check/switch :legacy-unsafe-remote-addr? (get options :legacy-unsafe-remote-addr? true))
                      (trusted-proxies options))
      (.channels (int max-ws)
                 (int (optional options :max-pending 67108864))
                 (max-pending-total options)
                 (max-received-total options (if stream-body? 0 max-body) max-ws)
                 (int (optional options :ws-ping-interval nil)))
      (.dispatch (int (dispatch options)) (int (in-place-budget options)))
      (.serverHeader (server-header options)))))
