(ns org.httpkit.engine.ring-listener
  "What a Ring WebSocket listener can hear, whichever way it is written: a map, an object that implements
  ring.websocket.protocols/Listener, or one of a type the protocol was extended to.

  A callback the listener leaves out is left out here as well, so that nobody calls what is not there."
  (:require [org.httpkit.engine.ring :as ring]
            [ring.websocket.protocols :as protocols])
  (:import (clojure.lang Compiler)
           (java.lang.reflect Modifier)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private callback-keys [:on-open :on-message :on-ping :on-pong :on-error :on-close])

(def ^:private methods-by-key
  "Vars: whoever extends a protocol replaces its functions."
  {:on-open #'protocols/on-open
   :on-message #'protocols/on-message
   :on-ping #'protocols/on-ping
   :on-pong #'protocols/on-pong
   :on-error #'protocols/on-error
   :on-close #'protocols/on-close})

(defn- has-method?
  "Returns true if the class has the protocol's method: a reify or deftype may leave it abstract."
  [^Class listener-class {:keys [arglists] method :name}]
  (let [parameters (repeat (dec (count (first arglists))) Object)
        found (.getMethod listener-class (Compiler/munge (name method)) (into-array Class parameters))]
    (not (Modifier/isAbstract (.getModifiers found)))))

(defn- implemented
  "Returns the keys of the methods of the protocol that the listener has."
  [protocol listener]
  (let [implementation (find-protocol-impl protocol listener)]
    (if (identical? implementation listener)
      (for [[method signature] (:sigs protocol) :when (has-method? (class listener) signature)]
        method)
      (keys implementation))))

(defn- by-keys?
  "Returns true for a map that nobody but Ring has taught to listen."
  [listener]
  (and (map? listener)
       (let [implementation (find-protocol-impl protocols/Listener listener)]
         (or (nil? implementation)
             (and (not (identical? implementation listener))
                  (ring/own-implementation? implementation "ring.websocket"))))))

(defn callbacks
  "Returns the callbacks the listener has, by key, as functions of a socket and what they are told.

  Throws IllegalArgumentException if it is no listener, or has no callback at all."
  [listener]
  (let [found (if (by-keys? listener)
                (into {} (filter val) (select-keys listener callback-keys))
                (into {} (for [key (mapcat #(implemented % listener) [protocols/Listener protocols/PingListener])
                               :let [method (deref (methods-by-key key))]]
                           [key (fn
                                  ([socket] (method listener socket))
                                  ([socket data] (method listener socket data))
                                  ([socket code reason] (method listener socket code reason)))])))]
    (cond
      (seq found)
      found

      (map? listener)
      (throw (IllegalArgumentException. "The WebSocket listener has no callback"))

      :else
      (throw (IllegalArgumentException.
              (str ":ring.websocket/listener must be a map of callbacks or satisfy ring.websocket.protocols/Listener, got "
                   (pr-str (class listener))))))))
