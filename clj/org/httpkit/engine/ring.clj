(ns org.httpkit.engine.ring
  "What Ring's own libraries add where they are on the class path. This library does not depend on them."
  (:require [clojure.string :as string])
  (:import (clojure.lang Var)
           (java.util.concurrent ConcurrentHashMap)
           (org.httpkit.server BodyWriter WebSocketResponse)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn loadable?
  "Returns true if the namespace is loaded or can be; false if nothing on the class path defines it."
  [namespace]
  (try
    (require namespace)
    true
    (catch java.io.FileNotFoundException _ false)))

(defn own-implementation?
  "Returns true if the implementation of a protocol's only method is the one of the namespace that defines the protocol."
  [implementation namespace]
  (let [method (first (vals implementation))]
    (and (some? method)
         (string/starts-with? (.getName (class method)) (str namespace "$")))))

(defn- overridden?
  "Returns true if the body is for somebody else than Ring and this library to write."
  [protocol body]
  (let [implementation (find-protocol-impl protocol body)]
    (and (some? implementation)
         (or (identical? implementation body)
             (not (own-implementation? implementation "ring.core.protocols"))))))

(deftype ^:private Findings [protocol ^ConcurrentHashMap by-class])

(defn- override-test
  "Returns a predicate of a body, quick enough for every answer: what it finds out about a class holds until somebody
  extends the protocol, which makes a new one."
  [^Var protocol-var]
  (let [findings (volatile! (Findings. nil (ConcurrentHashMap.)))]
    (fn [body]
      (let [protocol (.getRawRoot protocol-var)
            ^Findings current (let [current @findings]
                                (if (identical? protocol (.protocol ^Findings current))
                                  current
                                  (vreset! findings (Findings. protocol (ConcurrentHashMap.)))))
            ^ConcurrentHashMap by-class (.by-class current)
            body-class (class body)
            found (.get by-class body-class)]
        (if (some? found)
          found
          (let [found (boolean (overridden? protocol body))]
            (.put by-class body-class found)
            found))))))

(defn body-writer
  "Returns the way to ring.core.protocols/StreamableResponseBody, or nil without Ring 1.6 or newer."
  ^BodyWriter []
  (when (loadable? 'ring.core.protocols)
    (let [protocol (resolve 'ring.core.protocols/StreamableResponseBody)
          write (resolve 'ring.core.protocols/write-body-to-stream)
          overridden? (override-test protocol)]
      (reify BodyWriter
        (implementedBy [_ body] (overridden? body))
        (accepts [_ body] (some? (find-protocol-impl @protocol body)))
        (write [_ body response stream] (write body response stream))))))

(defn- websockets?
  "Returns true if listeners can be told of WebSockets: with ring.websocket.protocols (Ring 1.11 and newer), unless http-kit's
  system property says otherwise."
  []
  (and (not (Boolean/getBoolean "http-kit.no-ring-websockets"))
       (loadable? 'ring.websocket.protocols)))

(defn load-websockets
  "Loads what `websocket-response` needs, if that can be. Called as org.httpkit.server is loaded, so that it is compiled ahead of
  time with it, and reloaded by :reload-all together with the protocols."
  []
  (when (websockets?)
    (require 'org.httpkit.engine.ring-websocket)))

(defn websocket-response
  "Returns the way to ring.websocket, or nil where there is none. For `::websocket` in run-server's options see
  `org.httpkit.engine.ring-websocket/response`."
  ^WebSocketResponse [options]
  (when (websockets?)
    ((requiring-resolve 'org.httpkit.engine.ring-websocket/response) (::websocket options))))
