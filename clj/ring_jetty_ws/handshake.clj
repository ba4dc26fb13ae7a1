(ns ring-jetty-ws.handshake
  "From a request for an upgrade to what it is answered. Pure: nothing here sends anything."
  (:require [clojure.string :as string]
            [org.httpkit.engine.handshake :as handshake])
  (:import (java.util Locale)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private version
  "RFC 6455 section 4.1."
  "13")

(defn upgrade?
  "Returns true for a request that goes to the handshake handler, and never to the Ring handler: those Jetty takes for an
  upgrade to WebSocket."
  [{:keys [request-method protocol headers] :as request}]
  (boolean
   (and (= :get request-method)
        (= "HTTP/1.1" protocol)
        (some-> (get headers "upgrade") string/trim (.equalsIgnoreCase "websocket"))
        (some #(.equalsIgnoreCase "upgrade" %) (handshake/tokens headers "connection")))))

(defn request-map
  "Returns what the handshake handler gets: a Ring request without what belongs to a body, which an upgrade has none of."
  [request]
  (into {} (map (fn [key] [key (get request key)]))
        [:server-port :server-name :remote-addr :uri :query-string :scheme :request-method :protocol :headers
         :ssl-client-cert]))

(defn- without
  "Returns the headers less those with the lower-case names."
  [headers names]
  (into {} (remove (fn [[header _]] (names (.toLowerCase (str header) Locale/ROOT)))) headers))

(defn- plain [status headers text]
  {:status status
   :headers (assoc (without headers #{"content-type" "content-length" "transfer-encoding"})
                   "Content-Type" "text/plain; charset=utf-8")
   :body text})

(defn malformed
  "Returns the response to a request that is no valid handshake whatever its handler thinks, or nil."
  [request]
  (cond
    (not= version (get-in request [:headers "sec-websocket-version"]))
    (plain 400 {"Sec-WebSocket-Version" version} (str "Sec-WebSocket-Version must be " version))

    (nil? (handshake/check request))
    (plain 400 {} "Bad Sec-WebSocket-Key header")))

(defn accepted?
  "Returns true if the handshake handler's response lets the client in. Any `:ws-handlers` do, even none of them, unless a
  status says otherwise."
  [{:keys [status ws-handlers]}]
  (and (some? ws-handlers) (or (nil? status) (= 101 status))))

(defn- values [value]
  (if (string? value) [value] (seq value)))

(defn- check-subprotocol
  "Throws unless the one protocol in the headers, if there is any, is among those the client offered: RFC 6455 section
  4.1 has a client give up otherwise."
  [request headers]
  (let [offered (set (handshake/tokens (:headers request) "sec-websocket-protocol"))
        chosen (mapcat (fn [[header value]]
                         (when (.equalsIgnoreCase "sec-websocket-protocol" header) (values value)))
                       headers)]
    (when-not (or (empty? chosen) (and (= 1 (count chosen)) (offered (first chosen))))
      (throw (IllegalArgumentException.
              (str "Sec-WebSocket-Protocol must be one the client offered, " (pr-str (sort offered))
                   ", got " (pr-str chosen)))))))

(def ^:private reserved
  "Headers of a 101 that are not the application's."
  #{"upgrade" "connection" "sec-websocket-accept" "sec-websocket-extensions" "content-length" "transfer-encoding"})

(defn acceptance
  "Returns the headers of the 101: the handshake handler's, but for those that make it one."
  [request headers]
  (check-subprotocol request headers)
  (merge (without headers reserved)
         (handshake/switching (handshake/check request))))

(defn refusal
  "Returns the response to a client that the handshake handler does not let in: its status, if that is one of an answer, or
  else 403, and its headers. `:mistaken?` is true if the handler has probably meant something else."
  [{:keys [status headers ws-handlers]}]
  (let [final? (and (integer? status) (<= 200 status 599))
        status (if final? status 403)]
    {:mistaken? (or (not final?) (some? ws-handlers))
     :response (plain status headers "The WebSocket was refused")}))
