(ns immutant.web.internal.server
  "The servers of `immutant.web`: one for each host and port, found again by them, with the handlers mounted on it.

  A server exists from its first mention; it listens between start and stop, any number of times."
  (:require [clojure.string :as string]
            [immutant.web.internal.exchange :as exchange]
            [immutant.web.internal.mounts :as mounts]
            [immutant.web.internal.session :as session]
            [org.httpkit.engine.ring :as ring]
            [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(definterface IServer
  (start [])
  (stop [])
  (^boolean isRunning []))

(defonce ^:private registry
  ;; {[host port] server}
  (atom {}))

(def ^:private not-found {:status 404})

(defn- dispatcher
  "Returns the handler of a server that calls those in the atom `mounted`."
  [mounted]
  (fn
    ([request]
     (if-let [[path {:keys [handler settings]} length] (mounts/find-mount @mounted request)]
       (exchange/serve handler path length settings request)
       not-found))
    ([request respond raise]
     (if-let [[path {:keys [handler settings]} length] (mounts/find-mount @mounted request)]
       (exchange/serve handler path length settings request respond raise)
       (respond not-found)))))

(defn- run-server-options [host port {:keys [worker-threads server-options]}]
  (merge (when worker-threads {:thread worker-threads})
         ;; Undertow's :remote-addr is the connection's.
         {:legacy-unsafe-remote-addr? false
          ;; Middleware empties the body of an answer to HEAD and leaves its length.
          :legacy-content-length? false
          ::ring/spec? true}
         server-options
         {:ip host :port port :legacy-return-value? false}))

;; port     - atom: 0 until a server that takes any port has listened
;; options  - atom: what run was given that concerns the whole server
;; mounted  - atom, see `immutant.web.internal.mounts`; a mount is {:handler :settings}
;; running  - atom: the org.httpkit.server.HttpServer, or nil
;; sessions - of all that is mounted; kept while the server is stopped
(deftype Server [host port any-port? options mounted running sessions]
  IServer
  (start [this]
    (locking this
      (when-not @running
        (reset! running (server/run-server (dispatcher mounted) (run-server-options host @port @options)))
        (reset! port (server/server-port @running))
        (swap! registry assoc [host @port] this))))
  (stop [this]
    (locking this
      (when-let [server @running]
        (reset! running nil)
        (some-> (server/server-stop! server) deref))))
  (isRunning [_]
    (some? @running))
  Object
  (toString [_]
    (str host ":" @port)))

(defn- server-of ^Server [host port any-port?]
  (->Server host (atom port) any-port? (atom nil) (atom {}) (atom nil) (session/store)))

(defn- set-options
  "Makes the options those of the server's next start. Throws if it has been started with others."
  [^Server server given]
  (let [options (.-options server)
        different (for [[key value] given
                        :when (not= value (get @options key))]
                    key)]
    (cond
      (not (.isRunning server)) (if (seq @(.-mounted server))
                                  (swap! options merge given)
                                  (reset! options given))
      (seq different) (throw (IllegalStateException.
                              (str "The server at " server " runs already; its " (string/join ", " (sort different))
                                   " cannot change until it is stopped"))))))

(defn find-or-create
  "Returns the server for the host and port, a new one for port 0. `given` are options that concern the whole server."
  ^Server [host port given]
  (let [^Server server (if (zero? (long port))
                         (server-of host 0 true)
                         (get (swap! registry update [host port] #(or % (server-of host port false))) [host port]))]
    (locking server
      (set-options server given))
    server))

(defn port
  "Returns the port the server listens at, or will; 0 for any."
  [^Server server]
  @(.-port server))

(defn sessions
  "Returns the store of the server's sessions."
  [^Server server]
  (.-sessions server))

(defn mount
  "Adds the mount {:handler :settings} to the server for each [host path], and starts the server if it is to. If that fails what was
  mounted before is again."
  [^Server server pairs mount start?]
  (locking server
    (let [[before _] (swap-vals! (.-mounted server) mounts/add pairs mount)]
      (when start?
        (try
          (.start server)
          (catch Throwable e
            (swap! (.-mounted server) mounts/put-back pairs before)
            (throw e)))))))

(defn unmount
  "Takes what is mounted at each [host path] off the server. Returns true if anything was."
  [^Server server pairs]
  (let [[before after] (swap-vals! (.-mounted server) mounts/remove-all pairs)]
    (not= before after)))

(defn stop-empty
  "Stops the server if nothing is mounted on it."
  [^Server server]
  (locking server
    (when (empty? @(.-mounted server))
      (.stop server)
      (when (.-any-port? server)
        (swap! registry dissoc [(.-host server) @(.-port server)])))))
