(ns immutant.web.undertow
  "The options of `immutant.web/run` that tuned Undertow, as far as they mean anything to this server."
  (:require [immutant.web.internal.options :as options]
            [org.httpkit.engine.check :as check]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private valid-options
  #{:host :port :configuration :ajp-port :ssl-port :ssl-context :key-managers :trust-managers :keystore :key-password
    :truststore :trust-password :client-auth :http2? :io-threads :worker-threads :buffer-size :buffers-per-region
    :direct-buffers?})

(defn- refuse-given [options option reason]
  (when-some [value (get options option)]
    (throw (IllegalArgumentException. (str option " must be absent or nil, got " (pr-str value) ": " reason)))))

(defn ^:no-doc checked
  "Returns the options with numbers and truth values for strings; throws for what this server cannot do."
  [given]
  (refuse-given given :configuration "an Undertow builder configures Undertow, which is not here")
  (refuse-given given :ajp-port "this server does not speak AJP")
  (refuse-given given :ssl-port "this server does not speak TLS; put a proxy before it")
  (when-not (contains? #{nil :want :need :requested :required} (:client-auth given))
    (check/refuse :client-auth ":want, :need, :requested or :required" (:client-auth given)))
  (reduce (fn [checked [option value]]
            (if (contains? given option) (assoc checked option value) checked))
          given
          {:port (options/integer given :port 0 65535)
           :io-threads (options/integer given :io-threads 1 Integer/MAX_VALUE)
           :worker-threads (options/integer given :worker-threads 1 Integer/MAX_VALUE)
           :buffer-size (options/integer given :buffer-size 1 Integer/MAX_VALUE)
           :buffers-per-region (options/integer given :buffers-per-region 1 Integer/MAX_VALUE)
           :direct-buffers? (options/truth given :direct-buffers?)
           :http2? (options/truth given :http2?)}))

(defn options
  "Returns the options, a map or keywords and values, as `immutant.web/run` takes them: with keywords for keys that are strings,
  and numbers for values that are.

  Used:
    :host, :port      - see `immutant.web/run`
    :worker-threads   - handlers that may run at once, below JDK 21 (default: 16 for each processor)
  Accepted, and without effect:
    :io-threads, :buffer-size, :buffers-per-region, :direct-buffers?, :http2?
    :ssl-context, :key-managers, :trust-managers, :keystore, :key-password, :truststore, :trust-password, :client-auth
  Refused unless nil, as this server cannot do what they ask for:
    :ssl-port, :ajp-port, :configuration"
  {:arglists '([& options])
   :valid-options valid-options}
  [& options]
  (-> (options/keyword-map options)
      (options/check valid-options "options")
      checked))

(defn http-handler
  "Returns the Ring handler: `immutant.web/run` takes it as it is."
  [handler]
  handler)
