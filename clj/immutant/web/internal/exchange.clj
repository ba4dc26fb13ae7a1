(ns immutant.web.internal.exchange
  "Between org.httpkit.server and a handler written for Immutant: the request map on the way in, the response on the way out."
  (:require [immutant.web.internal.body :as body]
            [immutant.web.internal.channel :as channel]
            [immutant.web.internal.websocket :as websocket]
            [org.httpkit.engine.handshake :as handshake]
            [org.httpkit.server :as server])
  (:import (clojure.lang PersistentArrayMap)
           (immutant.web.internal.channel Channel)
           (immutant.web.internal.settings Settings)
           (java.io InputStream)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private ^:const added-entries 5)

(defn- path-info
  "Returns the rest of the URI after so many characters, not decoded."
  [uri length]
  (let [rest (subs uri length)]
    (if (= "" rest) "/" rest)))

(defn- request-map
  "Returns the request as Immutant's handlers know it. Built in one piece: an array map that grows entry by entry is copied each
  time."
  [request websocket? context length settings]
  (let [entries (object-array (* 2 (+ (count request) added-entries)))
        put (fn [at key value]
              (let [at (long at)]
                (aset entries at key)
                (aset entries (inc at) value)
                (+ at 2)))
        end (reduce-kv (fn [at key value]
                         (case key
                           :body (put at key (or value (InputStream/nullInputStream)))
                           :query-string (put at key (when-not (= "" value) value))
                           ;; Added below; not by us only if this server runs within another of its kind.
                           (:websocket? :context :path-info :handler-type :immutant.web/settings) at
                           (put at key value)))
                       0 request)]
    (-> end
        (put :context context)
        (put :path-info (path-info (:uri request) length))
        (put :websocket? websocket?)
        (put :handler-type :httpkit-rs)
        (put :immutant.web/settings settings))
    (PersistentArrayMap. (java.util.Arrays/copyOf entries (int (+ (long end) (* 2 added-entries)))))))

(defn- hijacked
  "Returns the response that leaves the exchange to its channel."
  [request]
  {:body (:async-channel request)})

(defn- open-channel [request accept response late?]
  (let [^Channel ch (:body response)]
    (when-not (identical? (.-exchange ch) (:async-channel request))
      (throw (IllegalStateException. "The :body of the response is a channel of another request")))
    (cond
      (not (.-websocket? ch)) (channel/open-stream ch response)
      accept (websocket/open ch response accept late?)
      :else (throw (IllegalStateException. "The request that :websocket? was set for is no WebSocket handshake")))
    (hijacked request)))

(defn- respond
  "Returns the response for the server."
  [request accept ^Settings settings response late?]
  (cond
    (nil? response) (throw (NullPointerException. "Ring handler returned nil"))
    (instance? Channel (:body response)) (open-channel request accept response late?)
    :else (body/prepare request response (.-default-charset settings))))

(def ^:private wrong-version
  "RFC 6455 section 4.4."
  {:status 426
   :headers (assoc handshake/upgrade-required "Sec-WebSocket-Version" "13" "Content-Type" "text/plain")
   :body "This server speaks version 13 of the WebSocket protocol"})

(defn- wrong-version? [request]
  (and (:websocket? request)
       (not= "13" (get-in request [:headers "sec-websocket-version"] "13"))))

(defn serve
  "Calls the handler with the server's request and returns the server's response, or with three arguments has `respond!` called
  with it. `context` is the path under which the handler is found, \"\" for all, and the first `length` characters of the URI."
  ([handler context length settings request]
   (if (wrong-version? request)
     wrong-version
     (let [accept (when (:websocket? request) (server/websocket-handshake-check request))
           request (request-map request (some? accept) context length settings)]
       (respond request accept settings (handler request) false))))
  ([handler context length settings request respond! raise!]
   (if (wrong-version? request)
     (respond! wrong-version)
     (let [accept (when (:websocket? request) (server/websocket-handshake-check request))
           request (request-map request (some? accept) context length settings)]
       (handler request
                (fn [response]
                  (let [result (try
                                 (respond request accept settings response true)
                                 (catch Throwable e e))]
                    (if (instance? Throwable result)
                      (raise! result)
                      (respond! result))))
                raise!)))))
