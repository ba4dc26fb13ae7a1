(ns immutant.web
  "Immutant's way to serve Ring handlers: any number of them, each at a path and virtual host, on servers found by host and
  port."
  (:require [immutant.web.internal.mounts :as mounts]
            [immutant.web.internal.options :as options]
            [immutant.web.internal.server :as server]
            [immutant.web.internal.settings :as settings]
            [immutant.web.undertow :as undertow]
            [org.httpkit.engine.check :as check]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private defaults
  {:host "localhost"
   :port 8080
   :path "/"
   :virtual-host nil
   :dispatch? true
   :auto-start true
   :static-dir nil
   :configuration nil
   :servlet-name nil
   :filter-map nil})

(def ^:private run-options
  (-> (set (keys defaults))
      (into (:valid-options (meta #'undertow/options)))
      (into settings/valid-options)
      (conj :contexts)))

(def ^:private server-wide
  "Options that are the same for all that is mounted on a server."
  [:io-threads :worker-threads :buffer-size :buffers-per-region :direct-buffers? :server-options])

(defn- refuse-foreign [options]
  (doseq [option [:static-dir :servlet-name :filter-map]
          :let [value (get options option)]
          :when (some? value)]
    (check/refuse option (if (= :static-dir option)
                           "absent or nil; ring.middleware.file serves a directory"
                           "absent or nil; there are no Servlets in this server")
                  value)))

(defn- parsed
  "Returns the options, as given, for the function `name`; checked, without those that are nil, and with defaults."
  [arguments name]
  (let [given (-> (options/keyword-map arguments)
                  (options/check run-options name)
                  undertow/checked)]
    (refuse-foreign given)
    (when-not (or (nil? (:host given)) (string? (:host given)))
      (check/refuse :host "a host name or address" (:host given)))
    (merge defaults (into {} (filter (fn [[_ value]] (some? value))) given))))

(defn- server-for [{:keys [host port] :as options}]
  (server/find-or-create host port (into {} (select-keys options server-wide))))

(defn run
  "Serves the Ring handler, a function or a var of one, and returns the options with their defaults, for `stop`, `server`, or another
  `run`: with the bound :port, and in :contexts what has been mounted where. What was at the same :virtual-host and :path of the
  same server before is replaced. With `:port 0` and `:auto-start false` the :port is 0: it is known once the server has started.

  Options, as a map or keywords and values:
    :host                - host name or address to listen at (default \"localhost\": nobody but this machine)
    :port                - 0 for any free one (default 8080)
    :path                - prefix of the URIs the handler is for, without percent-encoding; the longest counts (default \"/\")
    :virtual-host        - a host name, or a collection, the handler is for (default: those no other has)
    :auto-start          - whether the server is started; else by (.start (server options)) (default true)
    :worker-threads      - see `immutant.web.undertow/options`, whose options are accepted here
    :legacy-close-codes? - whether :on-close gets Undertow's codes, 1000 and 1001, for a WebSocket whose client sent none or vanished;
                           else 1005 and 1006 (default false)
    :default-charset     - of texts whose response has none in its Content-Type (default \"UTF-8\"; Undertow's was
                           \"ISO-8859-1\")
    :server-options      - options for `org.httpkit.server/run-server`, such as {:max-ws 65536} (default none)
    :dispatch?           - accepted, and without effect: quick handlers run on the thread that read the request, slow ones do not
    :contexts            - from an earlier `run`

  The handler's requests have :context, the :path or \"\", and :path-info, the rest of the :uri. A request nothing is mounted for is
  answered 404.

  A response may have a :write-error-handler, a function of exception, request and response: called when the body, an InputStream, a
  sequence or a File, cannot be read, or the client leaves before an InputStream or a sequence has been read to its end. Of a File
  that is there, a String or a byte[] the server takes charge: whether the client got it is not heard. See
  `immutant.web.middleware/wrap-write-error-handling`."
  {:arglists '([handler & options])
   :valid-options run-options}
  [handler & options]
  (let [handler (settings/checked-handler handler)
        options (parsed options "run")
        settings (settings/settings options)
        pairs (mounts/keys-of options)
        server (server-for options)
        mount {:handler handler :settings (settings/with-sessions settings (server/sessions server))}]
    (server/mount server pairs mount (:auto-start options))
    (-> options
        (assoc :port (server/port server))
        (update-in [:contexts server] conj (select-keys options [:virtual-host :path])))))

(defn stop
  "Takes a handler off its server, and stops the server if that was its last. Returns true if there was one, else nil.

  Options are what `run` returned, for all that has been mounted in it; or those `run` was given; or none, for the handler at \"/\" on
  localhost:8080."
  {:arglists '([& options])}
  [& options]
  (let [options (parsed options "stop")
        contexts (or (:contexts options)
                     {(server-for (apply dissoc options server-wide)) [(select-keys options [:virtual-host :path])]})
        stopped (doall (for [[server mounted] contexts
                             one mounted]
                         (server/unmount server (mounts/keys-of one))))]
    (run! server/stop-empty (keys contexts))
    (when (some true? stopped)
      true)))

(defn server
  "Returns the server of the options, typically what `run` returned; a sequence of servers if that has several. A server has the methods
  start, stop and isRunning: what is mounted on it stays while it is stopped."
  {:arglists '([& options])}
  [& options]
  (let [options (parsed options "server")
        servers (keys (or (:contexts options)
                          {(server-for options) nil}))]
    (if (next servers)
      servers
      (first servers))))

(defn ^:no-doc run-dmc*
  "What `run-dmc` does with a handler, a var if the caller named one."
  [handler & options]
  (let [wrap (requiring-resolve 'immutant.web.middleware/wrap-development)
        {:keys [host port path] :as result} (apply run (wrap handler) options)
        url (str "http://" host ":" port path)]
    (try
      ((requiring-resolve 'clojure.java.browse/browse-url) url)
      (catch Exception e
        (settings/default-warn (str "Cannot open a browser at " url) e)))
    result))

(defmacro run-dmc
  "As `run`, for development: the handler is reloaded when its files change, shows stack traces, and is opened in a browser. Needs
  ring-devel."
  [handler & options]
  (let [handler (if (and (symbol? handler) (not (contains? &env handler)) (resolve handler))
                  `(var ~handler)
                  handler)]
    `(run-dmc* ~handler ~@options)))
