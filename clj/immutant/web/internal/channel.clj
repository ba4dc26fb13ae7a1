(ns immutant.web.internal.channel
  "The channel of `immutant.web.async`: an exchange of org.httpkit.server with Immutant's callbacks, from as-channel to its end.

  What is sent, and in which order, is the business of `immutant.web.internal.send`."
  (:require [immutant.web.internal.outbox :as outbox]
            [immutant.web.internal.settings]
            [immutant.web.internal.tasks :as tasks])
  (:import (immutant.web.internal.settings Settings)
           (java.io InputStream)
           (java.util Locale)
           (java.util.concurrent.atomic AtomicBoolean AtomicInteger AtomicReference)
           (org.httpkit.server AsyncChannel)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

;; Phases. A channel that was closed before its handler returned still has its answer to give.
(def ^:private ^:const fresh 0)
(def ^:private ^:const opened 1)
(def ^:private ^:const closed 2)

;; queued    - whether a send was accepted
;; head      - the response map until its status and headers are sent; then the Charset of texts, or :bodiless
;; sending   - the long send under way: the InputStream it reads, or true
;; timer     - the end of the stream's :timeout
;; violation - what the client did against the protocol
(deftype Channel [request ^AsyncChannel exchange websocket? settings options ^AtomicReference outbox
                  ^AtomicInteger phase ^AtomicBoolean queued ^AtomicReference head ^AtomicReference sending
                  ^AtomicReference timer ^AtomicReference violation])

(defn channel
  "Returns a channel for a request, closed until the server opens it."
  ^Channel [request exchange websocket? settings options]
  (Channel. request exchange (boolean websocket?) settings options (outbox/outbox)
            (AtomicInteger. fresh) (AtomicBoolean.) (AtomicReference.) (AtomicReference.) (AtomicReference.)
            (AtomicReference.)))

(defn open?
  "Returns true between the channel's opening and its end."
  [^Channel ch]
  (and (= opened (.get ^AtomicInteger (.-phase ch)))
       (not (.isClosed ^AsyncChannel (.-exchange ch)))))

;;;; Errors

(defn- warn [^Channel ch what exception]
  (let [{:keys [request-method uri]} (.-request ch)]
    ((.-warn ^Settings (.-settings ch))
     (str what " of the channel of " (.toUpperCase (name request-method) Locale/ROOT) " " uri)
     exception)))

(defn report
  "Tells the channel's :on-error of the exception, or the log if it has none."
  [^Channel ch exception]
  (if-let [on-error (:on-error (.-options ch))]
    (try
      (on-error ch exception)
      (catch Throwable e
        (warn ch ":on-error" e)))
    (warn ch "Error" exception))
  nil)

;;;; Messages

(defn receive
  "Calls :on-message, unless the channel was closed by this side since the message came."
  [^Channel ch message]
  (when (= opened (.get ^AtomicInteger (.-phase ch)))
    (try
      ((:on-message (.-options ch)) ch message)
      (catch Throwable e
        (report ch e)))))

;;;; The end

(defn- legacy-code
  "Returns the code Undertow reported."
  [code violation?]
  (cond
    violation? 1000
    (= 1005 code) 1000
    (= 1006 code) 1001
    :else code))

(defn- close-status [^Channel ch code reason]
  (if (.-websocket? ch)
    {:code (if (.-legacy-close-codes ^Settings (.-settings ch))
             (legacy-code code (.get ^AtomicReference (.-violation ch)))
             code)
     :reason reason}
    {:code nil :reason nil}))

(defn- call-on-close [^Channel ch code reason]
  (when-let [on-close (:on-close (.-options ch))]
    (try
      (on-close ch (close-status ch code reason))
      (catch Throwable e
        (warn ch ":on-close" e)))))

(defn- close-source
  "Wakes a thread that waits for what nobody wants any more."
  [ch sending]
  (when (instance? InputStream sending)
    ;; Closing is user code, too.
    (tasks/start #(try
                    (.close ^InputStream sending)
                    (catch Throwable e
                      (warn ch "Closing the InputStream" e))))))

(defn ended
  "The exchange is over, whoever ended it. Called once."
  [^Channel ch code reason]
  (let [before (.getAndSet ^AtomicInteger (.-phase ch) closed)]
    (tasks/cancel (.get ^AtomicReference (.-timer ch)))
    (close-source ch (.get ^AtomicReference (.-sending ch)))
    (when (not= fresh before)
      (call-on-close ch code reason))))

(defn to-send
  "Returns the head as it is given to the exchange, which would declare an answer without any header to be HTML."
  [{:keys [headers] :as head}]
  (if (seq headers)
    head
    (assoc head :headers {"Content-Type" nil})))

(defn finish
  "Ends the exchange: a WebSocket with this code, a stream with its head if that has not been sent. To be called in turn, or when
  the send that has the turn is to be cut short."
  [^Channel ch code]
  (let [^AsyncChannel exchange (.-exchange ch)
        head (.get ^AtomicReference (.-head ch))]
    (if (and (map? head) (not (.-websocket? ch)))
      (try
        (.send exchange (assoc (to-send head) :body nil) true)
        (catch Throwable e
          (report ch e)
          (.send exchange (to-send {:status 500}) true)))
      (.serverClose exchange (int code) ""))))

(defn- answer-500
  "Makes the answer a 500, if its head has not been sent."
  [^Channel ch]
  (let [^AtomicReference head (.-head ch)
        unsent (.get head)]
    (when (map? unsent)
      (.compareAndSet head unsent {:status 500}))))

(defn cut
  "Ends the exchange so that nobody takes what was sent for complete: a WebSocket with 1011, a stream with a 500 if its head has not
  been sent. To be called in turn. Does nothing if the channel has ended, or somebody else is about to end it."
  [^Channel ch]
  (when (.compareAndSet ^AtomicInteger (.-phase ch) opened closed)
    (answer-500 ch)
    (when-not (.abort ^AsyncChannel (.-exchange ch))
      (finish ch 1011))))

(defn close
  "Ends the channel after what was sent before; a send that takes long is cut short. Does nothing if the channel has ended."
  ([ch] (close ch 1000))
  ([^Channel ch code]
   (let [before (.getAndSet ^AtomicInteger (.-phase ch) closed)]
     (when (= opened before)
       (if (.get ^AtomicReference (.-sending ch))
         (finish ch code)
         (outbox/enqueue (.-outbox ch) #(do (try (finish ch code) (catch Throwable e (report ch e)))
                                            false))))
     nil)))

;;;; The beginning

(defn call-on-open
  "Calls :on-open. If that fails the channel ends: its :on-error may still answer."
  [^Channel ch]
  (when-let [on-open (:on-open (.-options ch))]
    (try
      (on-open ch)
      (catch Throwable e
        (report ch e)
        (answer-500 ch)
        (close ch 1011)))))

(defn- start-timer [^Channel ch timeout]
  (let [timer (tasks/later timeout #(close ch))]
    (.set ^AtomicReference (.-timer ch) timer)
    (when-not (open? ch)
      ;; It ended before there was a timer to cancel.
      (tasks/cancel timer))))

(defn claim-opening
  "Makes the response map the channel's. Throws if the channel was opened before."
  [^Channel ch response]
  (when-not (.compareAndSet ^AtomicReference (.-head ch) nil (select-keys response [:status :headers]))
    (throw (IllegalStateException. "This channel has been the :body of another response"))))

(defn mark-open
  "Returns true if the channel is open from now on; false if it was closed before, or is a stream that ended. A WebSocket was open
  from its handshake on, though its client may have closed it since: its messages and :on-close are still to come."
  [^Channel ch]
  (or (and (or (.-websocket? ch) (not (.isClosed ^AsyncChannel (.-exchange ch))))
           (.compareAndSet ^AtomicInteger (.-phase ch) fresh opened))
      (do (finish ch 1000)
          false)))

(defn open-stream
  "Opens an HTTP stream; its first send carries the status and headers of the response, which all middleware has seen."
  [^Channel ch response]
  (claim-opening ch response)
  (let [timeout (:timeout (.-options ch))]
    (.setCloseRingHandler ^AsyncChannel (.-exchange ch) (fn [_ _] (ended ch nil nil)))
    (when (mark-open ch)
      (when (and timeout (pos? (long timeout)))
        (start-timer ch timeout))
      (call-on-open ch))))
