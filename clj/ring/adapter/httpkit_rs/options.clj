(ns ring.adapter.httpkit-rs.options
  "Checks the options of a Ring adapter and turns them into those of run-server.

  Throws before anything is started; the exception names the option and what it accepts."
  (:require [clojure.string :as string]
            [org.httpkit.engine.check :as check]
            [org.httpkit.engine.ring :as ring])
  (:import (java.io File)
           (java.nio.file Path)
           (java.util.concurrent AbstractExecutorService Executor ExecutorService RejectedExecutionException TimeUnit)
           (org.httpkit.server HttpServer)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private tls-options
  [:ssl? :ssl-port :ssl-context :keystore :keystore-type :key-password :keystore-scan-interval :truststore
   :trust-password :client-auth :sni-host-check? :exclude-ciphers :exclude-protocols :replace-exclude-ciphers?
   :replace-exclude-protocols?])

(def ^:private ring-options
  [:port :host :http? :unix-socket :join? :daemon? :async? :async-timeout :async-timeout-handler :max-threads :min-threads
   :max-queued-requests :thread-pool :max-idle-time :request-header-size :send-server-version? :send-date-header?
   :ws-idle-timeout :ws-max-text-size :ws-max-binary-size])

(def ^:private options-without-effect
  "They size what this server does not have."
  [:acceptor-threads :selector-threads :thread-idle-timeout :output-buffer-size :response-header-size])

(def ^:private run-server-options
  "run-server's options that mean the same here; it checks them itself."
  [:backlog :max-body :max-line :max-headers :max-connections :max-ws :max-pending :max-pending-total :max-received-total
   :slow-client :ws-ping-interval :header-timeout :body-timeout :write-timeout :keep-alive-timeout :dispatch :in-place-budget :stream-body?
   :expose-errors? :server-header :trusted-proxies :proxy-protocol :legacy-unsafe-remote-addr? :error-logger :warn-logger :event-logger
   :event-names])

(defn- integer
  "Returns the option, or `default` if it is absent or nil, as a long."
  ([options option default minimum]
   (integer options option default minimum Integer/MAX_VALUE))
  ([options option default minimum maximum]
   (let [value (get options option)]
     (cond
       (nil? value) default
       (and (integer? value) (<= minimum value maximum)) (long value)
       :else (check/refuse option (str "an integer from " minimum " to " maximum) value)))))

(defn- time-limit
  "Returns the option in milliseconds; what is not positive means that there is no limit, which is 0 here, as in Jetty."
  [options option default]
  (max 0 (long (integer options option default Integer/MIN_VALUE))))

(defn- switch
  "Returns the option as true or false; nil is false, as in Jetty."
  [options option default]
  (let [value (get options option default)]
    (if (or (nil? value) (boolean? value))
      (boolean value)
      (check/refuse option "true or false" value))))

(defn- refuse-tls [options]
  (when (or (:ssl? options true) (:ssl-port options))
    (when-let [asked (seq (filter #(some? (get options %)) tls-options))]
      (throw (IllegalArgumentException.
              (str "TLS is not supported. Refused: "
                   (string/join ", " asked) ". Let a proxy in front of the server take TLS; an :ssl? of false,"
                   " without :ssl-port, says that none is wanted"))))))

(defn- refuse-jetty [options]
  (when (some? (:configurator options))
    (throw (IllegalArgumentException.
            (str ":configurator functions receive a Jetty Server; this server is httpkit-rs. Use options instead: "
                 (string/join ", " (concat ring-options run-server-options))
                 ". For ring-jetty-ws there is ring-jetty-ws.adapter/run-jetty"))))
  (when-not (switch options :send-date-header? true)
    (check/refuse :send-date-header? "true: a server with a clock sends the header (RFC 9110 section 6.6.1)" false)))

(defn- warn-of-unknown [options]
  (let [known (set (concat tls-options ring-options options-without-effect run-server-options [:configurator]))]
    ;; A qualified key is an application's own.
    (when-let [unknown (seq (remove #(or (known %) (qualified-keyword? %)) (keys options)))]
      (let [message (str "Unknown options of run-httpkit-rs: " (string/join ", " (map pr-str unknown)))]
        (if-let [warn (:warn-logger options)]
          (warn message nil)
          (.log HttpServer/DEFAULT_WARN_LOGGER message nil))))))

(defn- executor-service
  "Returns a pool that runs its tasks by a mere Executor, which it does not own."
  ^ExecutorService [^Executor executor]
  (let [shut (promise)]
    (proxy [AbstractExecutorService] []
      (execute [task]
        (if (realized? shut)
          (throw (RejectedExecutionException. "The server has stopped"))
          (.execute executor task)))
      (shutdown [] (deliver shut true))
      (shutdownNow [] (deliver shut true) [])
      (isShutdown [] (realized? shut))
      (isTerminated [] (realized? shut))
      (awaitTermination [timeout ^TimeUnit unit] (deref shut (.toMillis unit timeout) false)))))

(defn- pool
  "Returns run-server's options for the threads of handlers."
  [{:keys [thread-pool] :as options}]
  (cond
    (some? thread-pool)
    {:worker-pool (cond
                    (instance? ExecutorService thread-pool) thread-pool
                    (instance? Executor thread-pool) (executor-service thread-pool)
                    :else (check/refuse :thread-pool "a java.util.concurrent.Executor" thread-pool))}

    (some #(some? (get options %)) [:max-threads :min-threads :max-queued-requests])
    (let [most (integer options :max-threads 50 1)]
      (when (< (long most) (long (integer options :min-threads 0 0)))
        (check/refuse :min-threads (str "at most :max-threads, " most) (:min-threads options)))
      {:pool-opts {:n-threads most
                   ;; An array would be allocated for all that may wait.
                   :queue-type :linked
                   ;; Jetty's least.
                   :queue-size (max 8 (long (integer options :max-queued-requests 20480 0)))
                   :allow-virtual? false}})))

(defn- socket-file ^File [value]
  (cond
    (string? value) (File. ^String value)
    (instance? File value) value
    (instance? Path value) (.toFile ^Path value)
    :else (check/refuse :unix-socket "a path" value)))

(defn- host ^String [options]
  (let [value (:host options)]
    (if (or (nil? value) (string? value))
      (or value "0.0.0.0")
      (check/refuse :host "a host name or address" value))))

(defn- addresses
  "Returns where to listen: maps of :ip and :port, or of :file."
  [options]
  (let [file (:unix-socket options)
        found (concat (when (switch options :http? true)
                        [{:ip (host options) :port (integer options :port 80 0 65535)}])
                      (when (some? file)
                        [{:file (socket-file file)}]))]
    (when (empty? found)
      (throw (IllegalArgumentException. "With :http? false there must be a :unix-socket")))
    found))

(defn- async-timeout-handler [{:keys [async-timeout-handler]}]
  (if (or (nil? async-timeout-handler) (ifn? async-timeout-handler))
    async-timeout-handler
    (check/refuse :async-timeout-handler "a function of [request respond raise]" async-timeout-handler)))

(defn checked
  "Returns what a server is made from.

    :addresses             - where to listen
    :run-server            - options of run-server beside the address
    :async-timeout         - milliseconds, 0 for none
    :async-timeout-handler - function, or nil"
  [options]
  (when-not (or (nil? options) (map? options))
    (throw (IllegalArgumentException. (str "The options must be a map, got " (pr-str options)))))
  (refuse-tls options)
  (refuse-jetty options)
  (switch options :join? true)
  (let [async? (switch options :async? false)
        idle-time (time-limit options :max-idle-time 200000)
        result {:addresses (addresses options)
                :run-server (merge {:ring-async? async?
                                    :legacy-return-value? false
                                    ;; Middleware empties the body of an answer to HEAD and leaves its length.
                                    :legacy-content-length? false
                                    ;; SPEC: the client, or the last proxy. Not what anybody writes into a header.
                                    :legacy-unsafe-remote-addr? false
                                    :server-header (when (switch options :send-server-version? true) "httpkit-rs")
                                    :max-line (integer options :request-header-size 8192 1)
                                    :keep-alive-timeout idle-time
                                    :body-timeout idle-time
                                    :write-timeout idle-time
                                    ::ring/spec? true
                                    ::ring/daemon? (switch options :daemon? false)
                                    ::ring/websocket {:idle-millis (time-limit options :ws-idle-timeout 30000)
                                                      :max-text (integer options :ws-max-text-size 65536 1)
                                                      :max-binary (integer options :ws-max-binary-size 65536 1)
                                                      :raw-close-codes? true}}
                                   (pool options)
                                   (select-keys options run-server-options))
                :async-timeout (if async? (time-limit options :async-timeout 0) 0)
                :async-timeout-handler (async-timeout-handler options)}]
    (warn-of-unknown options)
    result))
