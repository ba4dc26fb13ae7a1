(ns immutant.web.httpkit
  "Immutant's handlers on servers that `org.httpkit.server/run-server` starts.

  Not in `immutant.web`: applications refer to all of that, and have handlers of their own."
  (:require [immutant.web.internal.exchange :as exchange]
            [immutant.web.internal.options :as options]
            [immutant.web.internal.settings :as settings]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn handler
  "Returns the Ring handler as a handler for `org.httpkit.server/run-server`, for those who want its options: the result takes one
  argument or, for `:ring-async? true`, three. Mounted at \"/\", with sessions of its own.

  Options are :legacy-close-codes?, :default-charset and :server-options of `immutant.web/run`; of the last only :warn-logger
  counts."
  {:arglists '([handler & options])
   :valid-options settings/valid-options}
  [handler & options]
  (let [handler (settings/checked-handler handler)
        settings (settings/settings (-> (options/keyword-map options)
                                        (options/check settings/valid-options "handler")))]
    (fn
      ([request] (exchange/serve handler "" 0 settings request))
      ([request respond raise] (exchange/serve handler "" 0 settings request respond raise)))))
