(ns org.httpkit.engine.handshake
  "The opening handshake of WebSocket on the server's side (RFC 6455 section 4.2)."
  (:require [clojure.string :as string])
  (:import (java.security MessageDigest)
           (java.util Base64)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private guid
  "Section 1.3."
  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")

(defn accept
  "Returns the Sec-WebSocket-Accept value for a Sec-WebSocket-Key."
  [key]
  (.encodeToString (Base64/getEncoder)
                   (.digest (MessageDigest/getInstance "SHA-1") (.getBytes (str key guid) "ISO-8859-1"))))

(defn tokens
  "Returns the elements of a comma-separated header, none if it is missing. Empty ones are none (RFC 9110 section 5.6.1)."
  [headers header]
  ;; Not by a pattern with the blanks around the comma: where there is none, that takes the square of their number.
  (remove string/blank? (map string/trim (string/split (or (get headers header) "") #"[,\n]"))))

(defn- has-token?
  "Returns true if the header contains the lower-case token."
  [headers header token]
  (some #(.equalsIgnoreCase ^String token %) (tokens headers header)))

(defn- key?
  "Returns true for the canonical base64 of 16 bytes."
  [key]
  (boolean (and (string? key) (re-matches #"[A-Za-z0-9+/]{21}[AQgw]==" key))))

(defn check
  "Returns the Sec-WebSocket-Accept value if the Ring request is a valid handshake, else nil."
  [{:keys [headers request-method protocol]}]
  (let [key (get headers "sec-websocket-key")]
    (when (and (= :get request-method)
               (= "HTTP/1.1" protocol)
               (has-token? headers "upgrade" "websocket")
               (has-token? headers "connection" "upgrade")
               (= "13" (get headers "sec-websocket-version"))
               (key? key))
      (accept key))))

(defn switching
  "Returns the headers of the 101 that this Sec-WebSocket-Accept value goes with (section 4.2.2)."
  [accept]
  {"Upgrade" "websocket" "Connection" "Upgrade" "Sec-WebSocket-Accept" accept})

(def bad-key
  "The response to a request for an upgrade that is no valid handshake, in http-kit's words."
  {:status 400 :headers {"Content-Type" "text/plain"} :body "Bad Sec-Websocket-Key header"})

(def upgrade-required
  "Headers of a 426 (RFC 9110 sections 7.8 and 15.5.22). It closes: of a connection that ends the engine keeps no other option."
  {"Upgrade" "websocket" "Connection" "Upgrade, close"})

(defn refusal
  "Returns the response to such a request: the one given, or 426 if only the version is another than ours (section 4.4)."
  [request bad-request]
  (if (check (assoc-in request [:headers "sec-websocket-version"] "13"))
    {:status 426
     :headers (assoc upgrade-required "Content-Type" "text/plain" "Sec-WebSocket-Version" "13")
     :body "Sec-WebSocket-Version must be 13"}
    bad-request))
