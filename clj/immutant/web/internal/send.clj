(ns immutant.web.internal.send
  "What `immutant.web.async/send!` does with a message, by its type.

  A text or bytes are sent by the caller. Files, InputStreams and sequences are sent in pieces by a thread of their own, no
  faster than the client takes them; they keep the channel's turn, so nothing gets between the pieces."
  (:require [immutant.web.internal.body :as body]
            [immutant.web.internal.channel :as channel]
            [immutant.web.internal.content-type :as content-type]
            [immutant.web.internal.outbox :as outbox]
            [immutant.web.internal.tasks :as tasks]
            [org.httpkit.engine.trampoline :as trampoline])
  (:import (clojure.lang IPending Repeat)
           (immutant.web.internal.channel Channel)
           (immutant.web.internal.settings Settings)
           (java.io File FileInputStream IOException InputStream)
           (java.nio.charset Charset StandardCharsets)
           (java.util Arrays Map)
           (java.util.concurrent.atomic AtomicBoolean AtomicReference)
           (org.httpkit.server AsyncChannel)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private ^:const piece-bytes
  "How much of an InputStream one send carries, as under Undertow."
  16384)

;;;; Kinds of messages

(defn- plain? [message]
  (or (string? message) (bytes? message) (nil? message)))

(defn- long? [message]
  (or (seq? message) (instance? InputStream message) (instance? File message)))

(defn- refuse-type [message]
  (throw (IllegalStateException.
          (str "Can't send message of type " (class message)
               " (a message is a String, byte[], File, InputStream, seq, nil, or first a map with one as its :body)"))))

(defn- refuse-map [^Channel ch]
  (throw (IllegalArgumentException.
          (if (.-websocket? ch)
            "Can't send map: channel is not an HTTP stream channel"
            "Can't send map: this is not the first send to the channel"))))

(defn- pending? [items]
  (and (instance? IPending items) (not (realized? items))))

(defn- discard
  "Closes the InputStreams of a message that nobody wants. Has nothing lazy computed."
  [message]
  (cond
    (instance? InputStream message) (.close ^InputStream message)
    (seq? message) (loop [items message]
                     (when-not (or (pending? items) (empty? items))
                       (discard (first items))
                       ;; It has but one element, maybe for ever.
                       (when-not (instance? Repeat items)
                         (recur (rest items)))))))

(defn- overrides
  "Returns what a map replaces of the handler's response."
  [message]
  (into {} (filter (fn [[_ value]] (some? value))) (select-keys message [:status :headers])))

(defn- closed-error []
  (IOException. "The channel was closed before the send was complete"))

;;;; One send, in turn

(defn- encode
  "Returns the message as it is sent after this head, which has ended the exchange if it is :bodiless."
  [head message]
  (if (and (string? message) (not (identical? head StandardCharsets/UTF_8)) (not= :bodiless head))
    (.getBytes ^String message ^Charset head)
    message))

(defn- deliver-first
  "Sends the head with the first message."
  [^Channel ch message close? head deliver]
  (let [^AsyncChannel exchange (.-exchange ch)
        ^Charset charset (or (content-type/charset (:headers head))
                             (.-default-charset ^Settings (.-settings ch)))
        sent? (deliver exchange (assoc (channel/to-send head) :body (encode charset message)) close?)]
    (when sent?
      (.set ^AtomicReference (.-head ch) (if (body/bodiless? (.isHead exchange) (:status head)) :bodiless charset)))
    sent?))

(defn- deliver-one
  "Calls `deliver` with the exchange, the data a message stands for, and `close?`. Returns what it does: true if they were sent."
  [^Channel ch message close? overrides deliver]
  (if (.-websocket? ch)
    (deliver (.-exchange ch) message close?)
    (let [head (.get ^AtomicReference (.-head ch))]
      (if (map? head)
        (deliver-first ch message close? (merge head overrides) deliver)
        (deliver (.-exchange ch) (encode head message) close?)))))

(defn- bodiless?
  "Returns true if the answer has ended with its head, as one to HEAD does. Nothing of its body is wanted, so whatever was to be
  sent is as good as sent."
  [^Channel ch]
  (= :bodiless (.get ^AtomicReference (.-head ch))))

;;;; What became of it

(defn- end
  "Ends the channel in turn, with its last message or, if that was not sent whole, so that the client knows."
  [ch sent?]
  (try
    (if sent? (channel/finish ch 1000) (channel/cut ch))
    (catch Throwable e
      (channel/report ch e))))

(defn- succeed [ch on-success]
  (when on-success
    (try
      (on-success)
      (catch Throwable e
        (channel/report ch e)))))

(defn- fail [ch on-error exception]
  (if on-error
    (try
      (on-error exception)
      (catch Throwable e
        (channel/report ch e)))
    (channel/report ch exception)))

(defn- tell
  "Calls the send's callback for the exception, or for nil. A callback may send again, and so on, to no end."
  [ch {:keys [on-success on-error]} exception]
  (trampoline/run #(if exception
                     (fail ch on-error exception)
                     (succeed ch on-success))))

;;;; Texts and bytes

(defn- deliver-plain
  "As `deliver-one`. If that fails where the channel was to end, the channel ends all the same: no other send is to come."
  [ch message close? overrides deliver]
  (let [sent? (volatile! false)]
    (try
      (vreset! sent? (deliver-one ch message close? overrides deliver))
      (finally
        (when (and close? (not @sent?))
          (end ch false))))))

(defn- send-listening
  "Sends in turn and has `outcome` called with nil, or the exception, when it is known. The exchange may know at once."
  [ch message close? overrides outcome]
  (if (bodiless? ch)
    (outcome nil)
    (deliver-plain ch message close? overrides
                   (fn [^AsyncChannel exchange data close?]
                     (let [failed? (volatile! false)]
                       (.sendThen exchange data (boolean close?)
                                  (fn [] (outcome nil))
                                  (fn [exception]
                                    (vreset! failed? true)
                                    (outcome exception)))
                       (not @failed?))))))

(defn- send-quietly [ch message close? overrides]
  (deliver-plain ch message close? overrides
                 (fn [^AsyncChannel exchange data close?]
                   (.send exchange data (boolean close?)))))

(defn- send-in-turn
  "Sends and, after the turn has ended, calls what is known to be due."
  [^Channel ch message close? overrides outcome]
  (let [known (AtomicReference.)]
    (try
      (send-listening ch message close? overrides
                      (fn [exception]
                        (when-not (.compareAndSet known nil (or exception :sent))
                          (outcome exception))))
      (finally
        (outbox/end-turn (.-outbox ch))))
    (when-let [due (.getAndSet known :returned)]
      (outcome (when-not (= :sent due) due)))
    true))

(defn- send-later [^Channel ch message close? overrides outcome]
  (let [elsewhere (fn [exception] (tasks/start #(outcome exception)))]
    (outbox/enqueue (.-outbox ch)
                    (fn []
                      (try
                        (send-listening ch message close? overrides elsewhere)
                        (catch Throwable e
                          (elsewhere e)))
                      false)))
  true)

(defn- send-plain [^Channel ch message overrides {:keys [close? on-success on-error] :as options}]
  (let [outcome (fn [exception] (tell ch options exception))]
    (cond
      (not (outbox/try-turn (.-outbox ch))) (send-later ch message close? overrides outcome)
      (or on-success on-error (:on-error (.-options ch))) (send-in-turn ch message close? overrides outcome)
      :else (try
              (when (send-quietly ch message close? overrides)
                true)
              (finally
                (outbox/end-turn (.-outbox ch)))))))

;;;; Files, streams and sequences

(defn- unsent?
  "Returns true if nobody knows the status and headers of the answer but this server."
  [^Channel ch]
  (and (not (.-websocket? ch)) (map? (.get ^AtomicReference (.-head ch)))))

(defn- override
  "Makes these the status and headers of the answer, whatever is sent first: the body they came with may have no pieces."
  [^Channel ch overrides]
  (let [^AtomicReference head (.-head ch)
        unsent (.get head)]
    (when (map? unsent)
      ;; If :on-open fails meanwhile, that counts.
      (.compareAndSet head unsent (merge unsent overrides)))))

(defn- check-open [ch]
  (when-not (channel/open? ch)
    (throw (closed-error))))

(defn- send-piece [^Channel ch message close?]
  (check-open ch)
  (when-not (deliver-one ch message close? nil
                         (fn [^AsyncChannel exchange data close?]
                           ;; The engine's deadline ends the wait for a client that takes nothing.
                           (.sendBlocking exchange data (boolean close?) 0)))
    (throw (closed-error))))

(defn- read-piece
  "Reads into the buffer and returns the count. A channel that ends meanwhile closes the stream: `sending` is set before it is
  asked whether it has ended."
  ^long [^Channel ch ^InputStream stream ^bytes buffer]
  (let [^AtomicReference sending (.-sending ch)]
    (.set sending stream)
    (try
      (check-open ch)
      (.read stream buffer)
      (finally
        (.set sending true)))))

(defn- send-stream
  "Sends what the stream reads, and closes it."
  [ch ^InputStream stream]
  (with-open [stream stream]
    (let [buffer (byte-array piece-bytes)]
      (loop []
        (let [count (read-piece ch stream buffer)]
          (if (neg? count)
            ;; The end may have come because the channel closed the stream.
            (check-open ch)
            (do
              (send-piece ch (Arrays/copyOf buffer count) false)
              (when-not (bodiless? ch)
                (recur)))))))))

(declare send-item)

(defn- known-last?
  "Returns true if the sequence is known to have one element. Does not compute the next one."
  [items]
  (let [more (rest items)]
    (and (not (pending? more))
         (empty? more))))

(defn- send-items
  "Sends the elements, as long as anybody wants them."
  [ch items close?]
  (if-let [items (seq items)]
    ;; No local holds the sequence while one of its elements, which may take long, is sent: only what comes after it is kept.
    (let [left (volatile! items)]
      (try
        (loop [items items]
          (let [last? (known-last? items)]
            (vreset! left (rest items))
            (send-item ch (first items) (and close? last?))
            (when-not (or last? (bodiless? ch))
              (check-open ch)
              (when-let [more (seq @left)]
                (recur more)))))
        (finally
          (discard @left))))
    (send-piece ch nil close?)))

(defn- send-item [ch item close?]
  (cond
    (bodiless? ch) (discard item)
    (not (channel/open? ch)) (do (discard item)
                                 (throw (closed-error)))
    (plain? item) (send-piece ch item close?)
    (seq? item) (send-items ch item close?)
    (instance? InputStream item) (send-stream ch item)
    (instance? File item) (send-stream ch (FileInputStream. ^File item))
    (not (instance? Map item)) (refuse-type item)
    (unsent? ch) (do (override ch (overrides item))
                     (send-item ch (:body item) close?))
    :else (refuse-map ch)))

(defn- run-long
  "Sends what `box` holds, ends the turn, and tells what became of it. The box is emptied, so that nobody holds the
  beginning of a sequence that may be longer than the heap."
  [^Channel ch ^AtomicReference box overrides {:keys [close?] :as options}]
  (.set ^AtomicReference (.-sending ch) true)
  (let [error (try
                (override ch overrides)
                (send-item ch (.getAndSet box nil) close?)
                (when (unsent? ch)
                  ;; There was no piece.
                  (send-piece ch nil close?))
                nil
                (catch Throwable e e))]
    (when close?
      (end ch (nil? error)))
    (.set ^AtomicReference (.-sending ch) nil)
    (outbox/end-turn (.-outbox ch))
    (tell ch options error)))

(defn- send-long [^Channel ch message overrides options]
  (let [box (AtomicReference. (if (instance? File message) (FileInputStream. ^File message) message))
        ;; Sequences are realised under the caller's bindings.
        run (bound-fn* #(run-long ch box overrides options))
        begin (fn []
                (try
                  (tasks/start run)
                  true
                  (catch Throwable e
                    (tell ch options e)
                    false)))]
    (if (outbox/try-turn (.-outbox ch))
      (when-not (begin)
        (outbox/end-turn (.-outbox ch)))
      (outbox/enqueue (.-outbox ch) begin))
    true))

;;;; All messages

(defn- dispatch [ch message overrides options]
  (if (plain? message)
    (send-plain ch message overrides options)
    (send-long ch message overrides options)))

(defn send-message
  "Sends a message. Returns true, or nil if the channel is not open. Throws for a message that cannot be sent."
  [^Channel ch message options]
  (let [map? (instance? Map message)
        content (if map? (:body message) message)
        ^AtomicBoolean queued (.-queued ch)]
    (when (and map? (or (.-websocket? ch) (.get queued)))
      (refuse-map ch))
    (when-not (or (plain? content) (long? content))
      (refuse-type content))
    (cond
      (not (channel/open? ch)) (discard content)
      (not map?) (do (.set queued true)
                     (dispatch ch message nil options))
      (.compareAndSet queued false true) (dispatch ch content (overrides message) options)
      :else (refuse-map ch))))
