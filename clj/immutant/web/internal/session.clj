(ns immutant.web.internal.session
  "Sessions in memory, a store for each server, and their cookie.

  A session that nobody asks for in its time is forgotten. The time counts from the last request that brought its cookie, and is what
  that request's `wrap-session` says, as under Undertow."
  (:require [clojure.string :as string])
  (:import (java.security SecureRandom)
           (java.util Base64)
           (java.util.concurrent ConcurrentHashMap)
           (java.util.concurrent.atomic AtomicLong)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private ^:const sweep-nanos
  "How often at most the forgotten are looked for, which takes time for each session."
  60000000000)

(def ^:private random (delay (SecureRandom.)))

(defn- new-id []
  (let [bytes (byte-array 18)]
    (.nextBytes ^SecureRandom @random bytes)
    (.encodeToString (Base64/getUrlEncoder) bytes)))

;; sessions: {id [data last-use idle-nanos]}; idle-nanos is 0 for one that never ends
(deftype Store [^ConcurrentHashMap sessions ^AtomicLong last-sweep])

(defn store
  "Returns a store without sessions."
  []
  (Store. (ConcurrentHashMap.) (AtomicLong. (System/nanoTime))))

(defn- idle-nanos ^long [timeout-seconds]
  (* 1000000000 (max 0 (long timeout-seconds))))

(defn- over? [[_ last-use idle-nanos] ^long now]
  (and (pos? (long idle-nanos))
       (> (- now (long last-use)) (long idle-nanos))))

(defn- sweep [^Store store ^long now]
  (let [^AtomicLong last-sweep (.-last-sweep store)
        before (.get last-sweep)]
    (when (and (> (- now before) (long sweep-nanos))
               (.compareAndSet last-sweep before now))
      (.removeIf (.values ^ConcurrentHashMap (.-sessions store))
                 (reify java.util.function.Predicate
                   (test [_ session] (boolean (over? session now))))))))

(defn fetch
  "Returns the data of the session, which lives on for so many seconds, for ever if that is 0 or less; nil if there is none by that
  id."
  [^Store store id timeout-seconds]
  (let [now (System/nanoTime)
        ^ConcurrentHashMap sessions (.-sessions store)]
    (when-let [session (and id (.get sessions id))]
      (if (over? session now)
        (do (.remove sessions id session) nil)
        (let [data (first session)]
          ;; If another request has written it since, that counts.
          (.replace sessions id session [data now (idle-nanos timeout-seconds)])
          data)))))

(defn write
  "Keeps the data for so many seconds without a request, for ever if that is 0 or less, and returns the session's id: the given one
  if there is such a session, else a new one."
  [^Store store id data timeout-seconds]
  (let [now (System/nanoTime)
        ^ConcurrentHashMap sessions (.-sessions store)
        id (if (and id (.containsKey sessions id)) id (new-id))]
    (sweep store now)
    (.put sessions id [data now (idle-nanos timeout-seconds)])
    id))

(defn delete
  "Forgets the session."
  [^Store store id]
  (when id
    (.remove ^ConcurrentHashMap (.-sessions store) id)))

;;;; The cookie, RFC 6265

(defn cookie-value
  "Returns the value of the cookie in the request, or nil."
  [request cookie-name]
  (when-let [header (get-in request [:headers "cookie"])]
    (some (fn [pair]
            (let [[name value] (string/split (string/trim pair) #"=" 2)]
              (when (= name cookie-name)
                value)))
          (string/split header #";"))))

(defn set-cookie
  "Returns the value of a Set-Cookie header."
  [cookie-name id {:keys [path domain max-age secure http-only]}]
  (str cookie-name "=" id
       ";Path=" (or path "/")
       (when domain (str ";Domain=" domain))
       (when max-age (str ";Max-Age=" max-age))
       (when secure ";Secure")
       (when-not (false? http-only) ";HttpOnly")))
