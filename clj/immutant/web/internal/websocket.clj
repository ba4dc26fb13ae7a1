(ns immutant.web.internal.websocket
  "Upgrades: the handshake with the headers of the response, and the messages."
  (:require [immutant.web.internal.channel :as channel]
            [org.httpkit.engine.handshake :as handshake])
  (:import (immutant.web.internal.channel Channel)
           (java.util Locale)
           (java.util.concurrent.atomic AtomicReference)
           (org.httpkit.server AsyncChannel UpgradeOptions)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private handshake-headers
  "The server's own, lower-case; a response cannot change them."
  #{"upgrade" "connection" "sec-websocket-accept"})

(defn- upgrade-headers [headers accept]
  (-> (into {} (remove (fn [[name _]] (contains? handshake-headers (.toLowerCase (str name) Locale/ROOT)))) headers)
      (merge (handshake/switching accept))))

(defn- upgrade-options ^UpgradeOptions [timeout]
  (let [options (-> UpgradeOptions/DEFAULT .orderedClose .rawCloseCodes)]
    (if (and timeout (pos? (long timeout)))
      (.idleMillis options (int (min Integer/MAX_VALUE (long timeout))))
      options)))

(defn- violated [^Channel ch exception]
  (.set ^AtomicReference (.-violation ch) exception)
  (channel/report ch exception))

(defn open
  "Upgrades the connection with the headers of the response, which all middleware has seen, and opens the channel. `accept` is
  the Sec-WebSocket-Accept value. Throws, and leaves the exchange to be answered, if the headers are no good.

  No message is delivered before :on-open has returned: they, and after them :on-close, wait for the receive handler. After the
  server's handler has returned (`late?`) they would be lost without one, so there they wait here; and so does :on-close, which
  may come without a message before it."
  [^Channel ch response accept late?]
  (channel/claim-opening ch response)
  (let [^AsyncChannel exchange (.-exchange ch)
        {:keys [on-message timeout]} (.-options ch)
        opened (promise)
        ;; Nil, then :opened, or before that [code reason]: nobody waits for it, as a close may come from within :on-open.
        end (AtomicReference.)]
    (.setCloseRingHandler exchange (fn [code reason]
                                     (when-not (.compareAndSet end nil [code reason])
                                       (channel/ended ch code reason))))
    (.setErrorHandler exchange (fn [exception] (violated ch exception)))
    (when (and on-message late?)
      (.setReceiveHandler exchange (fn [message]
                                     @opened
                                     (channel/receive ch message))))
    (try
      ;; The client may have gone.
      (when (and (.sendHandshake exchange (upgrade-headers (:headers response) accept) (upgrade-options timeout))
                 (channel/mark-open ch))
        (channel/call-on-open ch)
        (when (and on-message (not late?))
          (.setReceiveHandler exchange (fn [message] (channel/receive ch message)))))
      (finally
        (deliver opened true)
        (when-let [[code reason] (.getAndSet end :opened)]
          (channel/ended ch code reason))))))
