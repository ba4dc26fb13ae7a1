(ns immutant.web.async
  "Immutant's interface to WebSockets and HTTP streams.

  Works in handlers that `immutant.web/run` or `immutant.web.httpkit/handler` calls."
  (:require [immutant.web.internal.channel :as channel]
            [immutant.web.internal.options :as options]
            [immutant.web.internal.send :as send])
  (:import (immutant.web.internal.channel Channel)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- handler-type [request _]
  (:handler-type request))

(defmulti ^:no-doc initialize-stream
  "Returns the channel for a request that is no upgrade, by the kind of server it came from."
  handler-type)

(defmulti ^:no-doc initialize-websocket
  "Returns the channel for an upgrade, by the kind of server it came from."
  handler-type)

(defn- refuse-request [request]
  (throw (IllegalArgumentException.
          (str "as-channel needs a request that immutant.web/run, or a handler of immutant.web.httpkit, was given; this one has "
               ":handler-type " (pr-str (:handler-type request))))))

(defmethod initialize-stream :default [request _]
  (refuse-request request))

(defmethod initialize-websocket :default [request _]
  (refuse-request request))

(defmethod initialize-stream :httpkit-rs [request options]
  (channel/channel request (:async-channel request) false (:immutant.web/settings request) options))

(defmethod initialize-websocket :httpkit-rs [request options]
  (channel/channel request (:async-channel request) true (:immutant.web/settings request) options))

(def ^:private as-channel-options #{:on-open :on-close :on-message :on-error :timeout})

(defn as-channel
  "Returns the response that makes the request's exchange a channel: {:status 200 :body channel}. Middleware may change it, but
  its :body must be returned.

  A request with a true :websocket? becomes a WebSocket when the response is returned: its :headers go into the handshake's
  answer, its :status does not count. Any other becomes an HTTP stream, whose :status and :headers are sent with the first
  `send!`, or the close.

  Options, as a map or keywords and values:
    :on-open    - (fn [ch]), when the channel can be sent to, once
    :on-message - (fn [ch message]), for each WebSocket message, a String or byte[]; after :on-open, one at a time, in order
    :on-error   - (fn [ch throwable]), for an error nobody else hears of; without it the error is logged
    :on-close   - (fn [ch {:keys [code reason]}]), when the channel has ended, whoever ended it, once; `ch` is closed then.
                  Code and reason are those of RFC 6455 section 7.4, or nil for an HTTP stream
    :timeout    - milliseconds, 0 for none (default 0): a WebSocket ends after so long without a message in either
                  direction, a stream so long after its opening"
  {:arglists '([request & options])
   :valid-options as-channel-options}
  [request & options]
  (let [given (-> (options/keyword-map options)
                  (options/check as-channel-options "as-channel"))
        options (assoc given :timeout (options/integer given :timeout Long/MIN_VALUE Long/MAX_VALUE))]
    (run! #(options/refuse-function options %) [:on-open :on-close :on-message :on-error])
    {:status 200
     :body (if (:websocket? request)
             (initialize-websocket request options)
             (initialize-stream request options))}))

(def ^:private send-options #{:close? :on-success :on-error})

(defn send!
  "Sends a message to the channel. Returns true, or nil if the channel was not open. Sends of one thread keep their order.

    String      - in the charset of the response, by default UTF-8; one text message of a WebSocket
    byte[]      - as it is; one binary message
    File, InputStream
                - in pieces of at most 16 KiB, each a binary message of a WebSocket; the stream is closed at the end
    ISeq        - each element by these rules; lazy ones are realised on another thread, under the caller's bindings
    nil         - nothing, but the options count, and a stream's head is sent
    map         - only first on an HTTP stream: its :body by these rules; its :status and :headers replace the response's

  Nothing gets between the pieces of a message. Anything else is an IllegalStateException, a map elsewhere or an unknown option an
  IllegalArgumentException.

  Options, as a map or keywords and values:
    :close?     - whether the channel ends after this message (default false); with the first to an HTTP stream the answer has
                  a Content-Length. If the message fails half-way the stream is cut, or is a 500 if nothing of it was sent, and
                  a WebSocket ends with 1011
    :on-success - (fn []), once no more than 256 KiB of all that was sent to the client wait in the server; with :close? once
                  the server has taken the message over
    :on-error   - (fn [throwable]), when that failed (default: the channel's :on-error)
  What a callback throws goes to the channel's :on-error. Callbacks may send; one that is due while another runs on its thread is
  called after that, so none may wait for another."
  {:arglists '([ch message & options])
   :valid-options send-options}
  [ch message & options]
  (send/send-message ch message
                     (when options
                       (-> (options/options-map options)
                           (options/check send-options "send!")))))

(defn close
  "Ends the channel after what was sent before; a WebSocket with code 1000, a stream to which nothing was sent with its status
  and headers. A File, InputStream or sequence still being sent is cut short. Calls :on-close. Returns nil."
  [ch]
  (channel/close ch))

(defn open?
  "Returns true between :on-open and the end of the channel."
  [ch]
  (channel/open? ch))

(defn originating-request
  "Returns the request that was given to `as-channel`."
  [^Channel ch]
  (.-request ch))
