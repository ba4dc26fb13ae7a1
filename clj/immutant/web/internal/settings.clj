(ns immutant.web.internal.settings
  "What a handler's exchanges are told of its server, and of the options it was given; requests lead to it by their
  :immutant.web/settings."
  (:require [immutant.web.internal.session :as session]
            [org.httpkit.engine.check :as check])
  (:import (java.nio.charset Charset StandardCharsets)
           (org.httpkit.server HttpServer)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

;; warn               - function of a message and an exception, for what nobody else hears of
;; default-charset    - Charset of texts whose response names none
;; legacy-close-codes - whether :on-close gets the codes Undertow reported
;; sessions           - the server's, see `immutant.web.internal.session`
(deftype Settings [warn ^Charset default-charset legacy-close-codes sessions])

(def valid-options
  "Those that `settings` is made of."
  #{:legacy-close-codes? :default-charset :server-options})

(defn- charset ^Charset [name]
  (cond
    (nil? name) StandardCharsets/UTF_8
    (and (string? name) (try (Charset/isSupported name) (catch IllegalArgumentException _ false))) (Charset/forName name)
    :else (check/refuse :default-charset "the name of a charset" name)))

(defn default-warn
  "Logs the message, and the exception unless it is nil."
  [message exception]
  (.log HttpServer/DEFAULT_WARN_LOGGER (str message (when exception (str ": " exception))) nil))

(defn settings
  "Returns the settings that the options ask for, on a server of their own."
  [{:keys [legacy-close-codes? default-charset server-options]}]
  (when-not (or (nil? server-options) (map? server-options))
    (check/refuse :server-options "a map of options for org.httpkit.server/run-server" server-options))
  (->Settings (or (:warn-logger server-options) default-warn)
              (charset default-charset)
              (boolean legacy-close-codes?)
              (session/store)))

(defn with-sessions
  "Returns the settings on the server with these sessions."
  [^Settings settings sessions]
  (->Settings (.-warn settings) (.-default-charset settings) (.-legacy-close-codes settings) sessions))

(defn checked-handler
  "Returns the handler; throws if it cannot be called."
  [handler]
  (if (ifn? handler)
    handler
    (check/refuse "The handler" "a function or a var of one; Servlets and Undertow's handlers need Undertow" handler)))
