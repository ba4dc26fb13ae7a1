(ns immutant.web.sse
  "Server-sent events over the streams of `immutant.web.async`."
  (:require [clojure.string :as string]
            [immutant.web.async :as async]
            [immutant.web.internal.options :as options]
            [immutant.web.internal.tasks :as tasks]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defprotocol Event
  "What can be sent as an event. Extend it to types of your own."
  (event->str [event] "Returns the event's fields, a line each, without the empty line at the end."))

(defn- field
  "Returns a line of `name` for each line of the value: a line end within it would begin a field of its own."
  [name value]
  (string/join (for [line (string/split (str value) #"\r\n|\r|\n" -1)]
                 (str name ":" line "\n"))))

(extend-protocol Event
  nil
  (event->str [_] "data:\n")
  Object
  (event->str [value] (field "data" value))
  java.util.Collection
  (event->str [values] (string/join (map event->str values)))
  java.util.Map
  (event->str [fields]
    (string/join (cons (event->str (:data fields))
                       (for [[key value] fields
                             :when (not= :data key)]
                         (field (name key) value))))))

(defn- beat
  "Sends a comment, which clients ignore, every so many milliseconds until the channel ends."
  [ch millis]
  (tasks/later millis #(when (async/send! ch ":\n\n")
                         (beat ch millis))))

(defn- with-heartbeat [{:keys [on-open] :as options} millis]
  (if millis
    (assoc options :on-open (fn [ch]
                              (when on-open
                                (on-open ch))
                              (beat ch millis)))
    options))

(def ^:private as-channel-options
  (conj (:valid-options (meta #'async/as-channel)) :heartbeat-ms))

(defn as-channel
  "As `immutant.web.async/as-channel`, with the Content-Type of an event stream.

  Options are those, and:
    :heartbeat-ms - milliseconds between comments that keep proxies from ending a silent stream (default: none)"
  {:arglists '([request & options])
   :valid-options as-channel-options}
  [request & options]
  (let [options (-> (options/keyword-map options)
                    (options/check as-channel-options "as-channel"))
        millis (options/integer options :heartbeat-ms 1 Long/MAX_VALUE)]
    (assoc-in (async/as-channel request (with-heartbeat (dissoc options :heartbeat-ms) millis))
              [:headers "Content-Type"] "text/event-stream; charset=utf-8")))

(defn send!
  "Sends an event by `immutant.web.async/send!`, with the same options and return value.

    map        - its :data, and a line for each of its other entries: :event, :id, :retry
    collection - an event whose data are a line for each element
    anything   - its text; each line a line of data"
  {:arglists '([ch event & options])
   :valid-options (:valid-options (meta #'async/send!))}
  [ch event & options]
  (async/send! ch (str (event->str event) "\n") (options/options-map options)))
