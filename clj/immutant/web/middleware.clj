(ns immutant.web.middleware
  "Ring middleware that Immutant applications use. Each also wraps asynchronous handlers."
  (:require [immutant.web.async :as async]
            [immutant.web.internal.options :as options]
            [immutant.web.internal.session :as session]
            [immutant.web.internal.settings])
  (:import (clojure.lang IObj)
           (immutant.web.internal.settings Settings)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- resolved
  "Returns the var, or nil if its library is not on the class path."
  [symbol]
  (try
    (requiring-resolve symbol)
    (catch java.io.FileNotFoundException _ nil)))

(defn wrap-websocket
  "Makes upgrades WebSockets with these callbacks, a map or keywords and values: see `immutant.web.async/as-channel`. Other requests go to
  the handler, or are answered 404 if it is nil."
  ([handler callbacks]
   (let [other #(merge {:status 404} %)]
     (fn
       ([request]
        (if (:websocket? request)
          (async/as-channel request callbacks)
          (other (when handler (handler request)))))
       ([request respond raise]
        (cond
          (:websocket? request) (respond (async/as-channel request callbacks))
          handler (handler request (comp respond other) raise)
          :else (respond (other nil)))))))
  ([handler key value & key-values]
   (wrap-websocket handler (apply hash-map key value key-values))))

(defn wrap-write-error-handling
  "Has `error-handler`, a function of exception, request and response, hear of bodies that could not be written, as `immutant.web/run`
  says which; the response's own :write-error-handler comes first. It cannot change the response: that is a 500, or is cut if its
  body had begun."
  [handler error-handler]
  (let [with-handler (fn [response]
                       (if (or (nil? response) (:write-error-handler response))
                         response
                         (assoc response :write-error-handler error-handler)))]
    (fn
      ([request] (with-handler (handler request)))
      ([request respond raise] (handler request (comp respond with-handler) raise)))))

;;;; Sessions

(def ^:private session-options #{:timeout :cookie-name :cookie-attrs})
(def ^:private cookie-attributes #{:path :domain :max-age :secure :http-only})

(defn- add-cookie [response cookie]
  (update-in response [:headers "Set-Cookie"]
             (fn [present]
               (cond
                 (nil? present) cookie
                 (string? present) [present cookie]
                 :else (conj (vec present) cookie)))))

(defn- sessions
  "Returns the store of the server that the request came to."
  [request]
  (.-sessions ^Settings (:immutant.web/settings request)))

(defn- keep-session
  "Stores the session of the response, if it has one, and tells the client its id if that is new."
  [store {:keys [timeout cookie-name cookie-attrs]} id response]
  (cond
    (not (contains? response :session)) response
    (nil? (:session response)) (do (session/delete store id)
                                   response)
    :else (let [data (:session response)
                before (if (:recreate (meta data))
                         (do (session/delete store id) nil)
                         id)
                ;; Any object may be a session's data.
                kept (if (instance? IObj data) (vary-meta data dissoc :recreate) data)
                after (session/write store before kept timeout)]
            (if (= id after)
              response
              (add-cookie response (session/set-cookie cookie-name after cookie-attrs))))))

(defn- server-session [handler {:keys [timeout cookie-name] :as options}]
  (let [with-session (fn [request id] (assoc request :session (session/fetch (sessions request) id timeout)))
        kept (fn [request id response] (keep-session (sessions request) options id response))]
    (fn
      ([request]
       (let [id (session/cookie-value request cookie-name)]
         (kept request id (handler (with-session request id)))))
      ([request respond raise]
       (let [id (session/cookie-value request cookie-name)]
         (handler (with-session request id) (comp respond (partial kept request id)) raise))))))

(defn- ring-session [handler given]
  (if-let [wrap (resolved 'ring.middleware.session/wrap-session)]
    (wrap handler given)
    (throw (IllegalStateException.
            "wrap-session was called with a request of another server; that needs ring-core on the class path"))))

(defn wrap-session
  "Gives requests a :session, kept in memory by the server: all that is mounted on it shares its sessions, and they outlive a handler
  that is replaced. A :session in the response replaces it, nil ends it. A request that did not come from `immutant.web` goes through
  ring.middleware.session.

  Options:
    :timeout      - seconds without a request after which a session ends; never if 0 or less (default 1800). Of several
                    wraps with different ones, that of the session's last request counts
    :cookie-name  - name of the cookie with the session's id (default \"JSESSIONID\")
    :cookie-attrs - map of the cookie's :path (default \"/\"), :domain, :max-age in seconds, :secure, and :http-only (default
                    true)"
  ([handler]
   (wrap-session handler {}))
  ([handler options]
   (options/check options session-options "wrap-session")
   (options/check (:cookie-attrs options) cookie-attributes "the :cookie-attrs of wrap-session")
   (let [timeout (options/integer options :timeout Long/MIN_VALUE (quot Long/MAX_VALUE 1000000000))
         own (server-session handler (assoc options
                                            :timeout (or timeout 1800)
                                            :cookie-name (or (:cookie-name options) "JSESSIONID")))
         fallback (delay (ring-session handler (dissoc options :timeout)))
         choose (fn [request] (if (:immutant.web/settings request) own @fallback))]
     (fn
       ([request] ((choose request) request))
       ([request respond raise] ((choose request) request respond raise))))))

;;;; Development

(defn wrap-development
  "Has the handler, a function or a var of one, reloaded when its files change, and failures shown with their stack trace. Needs
  ring-devel on the class path."
  [handler]
  (when-not (or (fn? handler) (and (var? handler) (fn? @handler)))
    (throw (RuntimeException. "Middleware only applies to regular Clojure functions")))
  (let [wrap-reload (resolved 'ring.middleware.reload/wrap-reload)
        wrap-stacktrace (resolved 'ring.middleware.stacktrace/wrap-stacktrace)
        directories (resolved 'clojure.java.classpath/classpath-directories)]
    (if (and wrap-reload wrap-stacktrace)
      (-> handler
          (wrap-reload (if directories {:dirs (map str (directories))} {}))
          wrap-stacktrace)
      (throw (RuntimeException. "Middleware requires ring/ring-devel; check your dependencies")))))
