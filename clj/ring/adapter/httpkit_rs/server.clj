(ns ring.adapter.httpkit-rs.server
  "The server a Ring adapter returns: its methods are those applications call on Jetty's.

  It owns one HttpServer for each address, made when it starts; they cannot be started again, it can."
  (:require [org.httpkit.engine.options :as options]
            [org.httpkit.server :as server]
            [ring.adapter.httpkit-rs.timeout :as timeout])
  (:import (java.io Closeable File)
           (java.net URI)
           (java.util.concurrent ExecutorService)
           (org.httpkit.server HttpServer HttpServer$Status)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(definterface Server
  (^void start [])
  (^void stop [])
  (^void stop [^long millis])
  (^void join [])
  (^boolean isRunning [])
  (^boolean isStarted [])
  (^boolean isStopped [])
  (^int getPort [])
  (^int getLocalPort [])
  (^java.net.URI getURI [])
  (^java.util.List getConnectors []))

(defn- unix-address
  "Returns a java.net.UnixDomainSocketAddress, a class of Java 16."
  [^File file]
  (let [address-class (try
                        (Class/forName "java.net.UnixDomainSocketAddress")
                        (catch ClassNotFoundException _
                          (throw (UnsupportedOperationException. ":unix-socket needs Java 16 or newer"))))
        of (.getMethod ^Class address-class "of" (into-array Class [String]))]
    (.invoke of nil (object-array [(.getPath file)]))))

(defn- listen
  "Starts a server on one address."
  ^HttpServer [handler run-server-options {:keys [^File file] :as address}]
  (when file
    ;; The server removes it when it stops; a JVM may end without that.
    (.deleteOnExit file))
  (server/run-server handler (merge run-server-options
                                    (if file
                                      {:address-finder #(unix-address file)}
                                      (select-keys address [:ip :port])))))

(defn- listen-all
  "Starts a server on each address, or on none."
  [handler run-server-options addresses]
  (reduce (fn [started address]
            (try
              (conj started (listen handler run-server-options address))
              (catch Throwable e
                (run! #(.stop ^HttpServer % 0) started)
                (throw e))))
          []
          addresses))

(defn- check-pool [{:keys [^ExecutorService worker-pool]}]
  (when (and worker-pool (.isShutdown worker-pool))
    (throw (IllegalStateException. "The :thread-pool was shut down when the server stopped: start another server"))))

(defn- start-all
  "Returns {:servers, :release}: running servers, and a function to be called when they have stopped."
  [handler {:keys [addresses run-server async-timeout async-timeout-handler]}]
  (options/handler handler)
  (check-pool run-server)
  (let [{:keys [handler release]} (if (pos? (long async-timeout))
                                    (timeout/limited handler async-timeout async-timeout-handler)
                                    {:handler handler :release (fn [])})]
    (try
      {:servers (listen-all handler run-server addresses) :release release}
      (catch Throwable e
        (release)
        (throw e)))))

(defn- address-uri ^URI [{:keys [ip ^File file]} ^HttpServer server]
  (if file
    (URI. "unix" nil (.getAbsolutePath file) nil)
    (URI. "http" nil (if (= ip "0.0.0.0") "localhost" ip) (.getPort server) "/" nil nil)))

(defn- every-status? [servers status]
  (every? #(= status (.getStatus ^HttpServer %)) servers))

(deftype RingServer [handler options state]
  Server
  (start [this]
    (locking this
      (when-not (.isRunning this)
        (reset! state (start-all handler options)))))
  (stop [this] (.stop this 100))
  (stop [this millis]
    (locking this
      (let [{:keys [servers release]} @state]
        (run! #(.stop ^HttpServer % (int millis)) servers)
        (when release
          (release)))))
  (join [_] (run! #(.join ^HttpServer %) (:servers @state)))
  (isRunning [_] (let [{:keys [servers]} @state]
                   (and (some? servers) (every-status? servers HttpServer$Status/RUNNING))))
  (isStarted [this] (.isRunning this))
  (isStopped [_] (every-status? (:servers @state) HttpServer$Status/STOPPED))
  (getPort [_] (.getPort ^HttpServer (first (:servers @state))))
  (getLocalPort [this] (.getPort this))
  (getURI [_] (address-uri (first (:addresses options)) (first (:servers @state))))
  ;; (.getLocalPort (first (.getConnectors server))) is how Jetty tells the port.
  (getConnectors [this] [this])

  Closeable
  (close [this] (.stop this))

  Object
  (toString [this] (str "httpkit-rs at " (.getURI this) (if (.isRunning this) ", running" ", stopped"))))

(defn new-server
  "Returns a server that is not started yet, for a Ring handler and checked options."
  ^RingServer [handler options]
  (RingServer. handler options (atom nil)))
