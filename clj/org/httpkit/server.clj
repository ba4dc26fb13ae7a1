(ns org.httpkit.server
  "http-kit's HTTP server API on a native engine.

  Owns the public functions and the `Channel` protocol; the work is done by the Java classes of `org.httpkit.server` and
  `org.httpkit.engine`."
  (:require [org.httpkit.engine.address :as address]
            [org.httpkit.engine.check :as check]
            [org.httpkit.engine.handshake :as handshake]
            [org.httpkit.engine.options :as options]
            [org.httpkit.engine.pool :as pool]
            [org.httpkit.engine.ring :as ring]
            [org.httpkit.utils :as utils])
  (:import (org.httpkit.server AnswerOptions AsyncChannel HttpServer HttpServer$Status RingApplication)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

;;;; Servers

(defprotocol IHttpServer
  "A running server."
  (server-port [server] "Returns the port the server is bound to, also after it has stopped; -1 for a Unix socket.")
  (server-status [server] "Returns `:running`, `:stopping` or `:stopped`.")
  (-server-stop! [server opts] "See `server-stop!`."))

(defn- grace
  "Returns `:timeout` of a stop in milliseconds."
  ^long [{:keys [timeout] :or {timeout 100}}]
  (check/whole :timeout timeout [Integer/MIN_VALUE Integer/MAX_VALUE]))

(extend-type HttpServer
  IHttpServer
  (server-port [server] (.getPort server))
  (server-status [server]
    (condp identical? (.getStatus server)
      HttpServer$Status/RUNNING :running
      HttpServer$Status/STOPPING :stopping
      :stopped))
  (-server-stop! [server opts]
    (let [stopped (promise)]
      (when (.stop server (int (grace opts)) #(deliver stopped true))
        stopped))))

(defn server-stop!
  "Stops accepting connections, lets running exchanges finish, then closes the rest.

  Returns a promise delivered with true when the server has ended, or nil when it was already stopping. The call itself
  blocks while the server drains and until the `on-close` callbacks of what it closed have run: for the rest of :timeout
  at most, or a second if that is longer. Within a handler or callback it does not wait for those.

  Options:
    :timeout - milliseconds to wait for running exchanges before their handlers are interrupted (default 100)"
  ([server] (-server-stop! server nil))
  ([server opts] (-server-stop! server opts)))

(defn server-join
  "Blocks until the server has stopped. Returns nil."
  [^HttpServer server]
  (.join server))

(defn new-worker
  "Returns a map whose `:pool` is a new `ExecutorService` for `:worker-pool`; the other keys describe it.

  On a JVM with virtual threads (21 and newer) each request gets one, and only `:allow-virtual?` is looked at.

  Options:
    :n-threads      - both numbers of threads (alias :thread)
    :n-min-threads  - least number of threads (default: one for each processor, at least 2)
    :n-max-threads  - largest number of threads (default: 16 for each processor)
    :queue-type     - :array or :linked (default :array)
    :queue-size     - requests that may wait (default 20480)
    :prefix         - of the threads' names (alias :worker-name-prefix, default \"http-kit-server-worker-\")
    :allow-virtual? - whether virtual threads may be used (default true)"
  {:arglists '([{:keys [n-threads n-min-threads n-max-threads queue-type queue-size prefix allow-virtual?] :as opts}])}
  [opts]
  (utils/new-worker {:default-prefix "http-kit-server-worker-"
                     :default-queue-type :array
                     :default-queue-size 20480
                     :n-min-threads-factor 1
                     :n-max-threads-factor 16
                     :keep-alive-msecs 0}
                    opts))

(defn- application
  "Returns what the engine serves."
  ^RingApplication [handler opts dispatcher telemetry]
  (RingApplication. handler (options/ring-async? opts) dispatcher telemetry (options/slow-client opts)
                    (AnswerOptions. (check/switch :legacy-content-length? (get opts :legacy-content-length? true))
                                    (check/switch :expose-errors? (:expose-errors? opts))
                                    (boolean (::ring/spec? opts))
                                    (ring/body-writer)
                                    (ring/websocket-response opts))))

(defn- start
  "Starts a server; the pool is the server's from now on, or shut down again if the server cannot start."
  ^HttpServer [handler opts configuration telemetry]
  (let [dispatcher (pool/dispatcher new-worker opts)]
    (try
      (let [server (HttpServer. (application handler opts dispatcher telemetry)
                                (.encode (address/add-address configuration opts)))]
        (when (::ring/daemon? opts)
          (.daemon server))
        (.start server)
        server)
      (catch Throwable e
        (when-not (options/worker-pool opts)
          (.shutdown (.executor dispatcher)))
        (throw e)))))

(defn server-stats
  "Returns counters of a server since its start, those of its end once it has stopped: a map of numbers.

  Takes what `run-server` returned. A counter is read at its own moment, so sums may be off by requests under way.

    :connections          - open now
    :connections-accepted - since the start
    :requests             - handed to the handler
    :in-place             - of those, run on the thread that read them
    :pool                 - of those, given to the pool
    :refused              - of those, answered 503 because the pool took no more
    :rejected             - answered 4xx or 5xx by the engine, without the handler
    :mispredicted         - ran in place and took longer than :in-place-budget
    :rescued              - held a thread of the engine so long that a spare one took over
    :bytes-in :bytes-out  - on the wire
    :messages-in          - WebSocket messages, pings and pongs of clients
    :messages-out         - those of the application
    :bytes-pending        - that wait for clients now"
  [server]
  (let [^HttpServer server (or (:server (meta server)) server)
        [accepted requests in-place rejected mispredicted rescued bytes-in bytes-out messages-in messages-out connections
         bytes-pending] (.stats server)]
    {:connections connections
     :connections-accepted accepted
     :requests requests
     :in-place in-place
     :pool (- (long requests) (long in-place))
     :refused (.refused server)
     :rejected rejected
     :mispredicted mispredicted
     :rescued rescued
     :bytes-in bytes-in
     :bytes-out bytes-out
     :messages-in messages-in
     :messages-out messages-out
     :bytes-pending bytes-pending}))

(defn run-server
  "Starts a server for a Ring handler. The server listens when the function returns.

  Returns a function that stops the server: `(stop)` or `(stop :timeout 500)`, see `server-stop!`; its metadata has
  `:local-port` and `:server`. With `:legacy-return-value? false` returns the `HttpServer`, for `server-port`,
  `server-status`, `server-stop!` and `server-join`.

  A wrong option is an exception before anything is started, a port in use a `java.net.BindException`. A name that is no
  option is ignored, as http-kit does: the address is :ip, not :host.

  Address:
    :ip                         - host name or address (default \"0.0.0.0\": every IPv4 and IPv6 address)
    :port                       - 0 for any free one (default 8090)
    :backlog                    - connections the system may hold until they are accepted (default 1024)
    :address-finder             - function of no arguments; returns a java.net.SocketAddress in place of :ip and :port
    :channel-factory            - function of that address; returns an unbound ServerSocketChannel with the socket's options

  Handlers:
    :dispatch                   - :adaptive: quick ones on the thread that read the request, slow ones on the pool;
                                  :pool or :in-place: all there (default :adaptive, with :worker-pool :pool)
    :in-place-budget            - microseconds after which a handler counts as slow (default 200)
    :worker-pool                - ExecutorService, or a delay of one; shut down with the server (default: `new-worker`'s)
    :pool-opts                  - options for `new-worker` (default: these options)
    :ring-async?                - whether handlers take [request respond raise] (default false)
    :stream-body?               - whether a body that is chunked or longer than 64 KiB is read while it arrives: :body is then an
                                  InputStream that blocks, :content-length nil unless it was declared, and the handler runs on the
                                  pool (default false: it is complete first)
    :expose-errors?             - whether a 500 carries the exception's message (default false)

  Limits (requests beyond them are refused with 413, 414 or 431):
    :max-body                   - bytes of a request body (default 8 MiB)
    :max-line                   - bytes of a request line or header line (default 8192)
    :max-headers                - header lines of a request (default 128)
    :max-connections            - open connections, 0 for any number; others wait in the backlog (default 0)

  Deadlines in milliseconds, nil or 0 for none:
    :header-timeout             - for a request's head to arrive (default 30000)
    :body-timeout               - without any byte of a request's body or a WebSocket's message (default 60000)
    :write-timeout              - without the client taking any byte of the answer (default 60000)
    :keep-alive-timeout         - between two requests on a connection (default 75000)

  Channels:
    :max-ws                     - bytes of a WebSocket message; a client that sends more is refused with 1009 (default 4 MiB)
    :max-pending                - bytes of output that may wait for a client, nil or 0 for any number; beyond it a WebSocket is
                                  closed with 1013, a stream cut (default 64 MiB)
    :max-pending-total          - bytes that may wait for all clients together, likewise; beyond it each client for which more than
                                  256 KiB wait is treated so (default a quarter of the largest heap)
    :max-received-total         - bytes that request bodies and messages which are not complete may hold together, likewise; beyond
                                  it each of more than 256 KiB is refused with 503 or 1013 (default a quarter of the largest
                                  heap, and never below :max-ws and, without :stream-body?, :max-body)
    :slow-client                - what `send!` does when more than 256 KiB wait: :close goes on, up to :max-pending;
                                  :block waits until the client has taken most of it; :drop leaves WebSocket messages out
                                  until then and returns true (default :close)
    :ws-ping-interval           - length of a period in milliseconds: a WebSocket client that sends nothing but pongs in a whole
                                  one is pinged, and taken for gone if it sends no byte in the next; nil or 0 for none
                                  (default nil)

  Headers:
    :server-header              - value of the Server header, nil for none (default \"http-kit\")
    :legacy-content-length?     - whether the length in an answer to HEAD is always computed from its body, where the body is not
                                  streamed (default true)

  Client address:
    :trusted-proxies            - networks (\"10.0.0.0/8\") whose X-Forwarded-For is believed; one is enough to switch the
                                  next option off, [] is not (default none)
    :legacy-unsafe-remote-addr? - whether anybody's X-Forwarded-For is believed, as in http-kit (default true)
    :proxy-protocol             - :disable, :enable or :optional: PROXY protocol, version 1, TCP4 (default :disable)

  Logging:
    :error-logger, :warn-logger - functions of a message and a Throwable, one of which may be nil (default: print to standard error)
    :event-logger               - function of an event's name (default: none)
    :event-names                - map from field names of org.httpkit.logger.EventNames, such as \"serverStatus413\", to other
                                  names for those events

  Return value:
    :legacy-return-value?       - see above (default true)"
  {:arglists '([handler & [{:keys [ip port backlog address-finder channel-factory
                                   dispatch in-place-budget worker-pool pool-opts ring-async? stream-body? expose-errors?
                                   max-body max-line max-headers max-connections
                                   header-timeout body-timeout write-timeout keep-alive-timeout
                                   max-ws max-pending max-pending-total max-received-total slow-client ws-ping-interval
                                   server-header legacy-content-length?
                                   trusted-proxies legacy-unsafe-remote-addr? proxy-protocol
                                   error-logger warn-logger event-logger event-names
                                   legacy-return-value?]
                            :as opts}]])}
  [handler & [opts]]
  (let [opts (options/checked opts)
        server (start (options/handler handler) opts (options/configuration opts) (options/telemetry opts))]
    (if (get opts :legacy-return-value? true)
      (with-meta
        (fn stop-server [& {:as stop-opts}]
          (.stop server (int (grace stop-opts)))
          nil)
        {:local-port (.getPort server)
         :server server})
      server)))

;;;; Channels

(defprotocol Channel
  "An exchange that is answered now, in pieces, or later: the `:async-channel` of a request."
  (open? [ch] "Returns true if the channel is open.")
  (websocket? [ch] "Returns true if the request asked for an upgrade to WebSocket.")
  (close [ch] "Closes the channel. Returns true, or false if it was closed before.")
  (send! [ch data] [ch data close-after-send?]
    "Sends data, past all Ring middleware. Returns true, or false if the channel is closed. Throws what is wrong with the
    data; the channel is then as it was.

    HTTP: the first data sent is a response map, or just a body; later only bodies count. `close-after-send?` is true by
    default.

    WebSocket: a String is a text message; a byte[], ByteBuffer or InputStream a binary one; a map stands for its `:body`;
    nil is no message. A Frame$PingFrame or Frame$PongFrame of at most 125 bytes is sent as that. `close-after-send?` is
    false by default.

    True means accepted, not received; see `run-server`'s `:max-pending` and `:slow-client`.")
  (on-receive [ch callback]
    "Sets the function of a WebSocket message, a String or byte[]. It is called for one message after the other, in
    order; what it throws is logged.")
  (on-ping [ch callback] "Sets the function of a WebSocket ping, a byte[]. The pong is sent before it is called.")
  (on-close [ch callback]
    "Sets the function of the channel's end. It is called once, at once if the channel is closed already, with
    `:server-close`, for HTTP `:client-close`, or for a WebSocket the name of the close code: `:normal`, `:going-away` (also
    when the client vanished), `:protocol-error`, `:unsupported`, `:no-status-received`, `:abnormal`,
    `:invalid-payload-data`, `:policy-violation`, `:message-too-big`, `:mandatory-extension`, `:internal-server-error`,
    `:tls-handshake` or `:unknown`."))

(extend-type AsyncChannel
  Channel
  (open? [ch] (not (.isClosed ch)))
  (websocket? [ch] (.isWebSocket ch))
  (close [ch] (.serverClose ch 1000))
  (send!
    ([ch data] (.send ch data (not (.isWebSocket ch))))
    ([ch data close-after-send?] (.send ch data (boolean close-after-send?))))
  (on-receive [ch callback] (.setReceiveHandler ch callback))
  (on-ping [ch callback] (.setPingHandler ch callback))
  (on-close [ch callback] (.setCloseHandler ch callback)))

;;;; WebSocket handshakes

(defn sec-websocket-accept
  "Returns the Sec-WebSocket-Accept value for a Sec-WebSocket-Key."
  [sec-websocket-key]
  (handshake/accept sec-websocket-key))

(def ^{:deprecated "http-kit 2.4.0" :no-doc true} accept
  "Deprecated name of `sec-websocket-accept`."
  sec-websocket-accept)

(defn websocket-handshake-check
  "Returns the Sec-WebSocket-Accept value if the Ring request is a valid WebSocket handshake, else nil."
  [ring-req]
  (handshake/check ring-req))

(defn send-checked-websocket-handshake!
  "Upgrades the channel to WebSocket, whatever the request was; `sec-ws-accept` is `websocket-handshake-check`'s result."
  [^AsyncChannel ch sec-ws-accept]
  (.sendHandshake ch (handshake/switching sec-ws-accept)))

(defn send-websocket-handshake!
  "Upgrades the channel to WebSocket if the request is a valid handshake. Returns true if it is, else nil."
  [ch ring-req]
  (when-let [sec-ws-accept (websocket-handshake-check ring-req)]
    (send-checked-websocket-handshake! ch sec-ws-accept)
    true))

;;;; Ring's WebSockets

(ring/load-websockets)

(def ^:private no-ring-websockets?
  "True if http-kit's system property switches listeners of ring.websocket off, else nil. http-kit's own tests look here."
  (when (Boolean/getBoolean "http-kit.no-ring-websockets")
    (println "Ring's WebSockets are switched off by the system property http-kit.no-ring-websockets")
    true))

;;;; Handlers that answer through a channel

(defmacro with-channel
  "Deprecated: prefer `as-channel`, which sets callbacks before it upgrades.

  Binds the request's channel to `ch-name`, upgrades it if the request asks for WebSocket, runs the body, and returns
  the response that leaves the answer to the channel. The client's messages wait until the body has set `on-receive`, or
  the handler has returned, or there is more than 1 MiB of them: then they are dropped."
  {:deprecated "http-kit 2.4.0"}
  [ring-req ch-name & body]
  `(let [request# ~ring-req
         ~ch-name (:async-channel request#)
         accept# (when (:websocket? request#) (websocket-handshake-check request#))]
     (if (and (:websocket? request#) (nil? accept#))
       (handshake/refusal request# {:status 400 :body "Bad Sec-WebSocket-Key header"})
       (do
         (when accept#
           (send-checked-websocket-handshake! ~ch-name accept#))
         ~@body
         {:body ~ch-name}))))

(defn as-channel
  "Returns the response that leaves the answer to the request's channel; upgrades the channel if the request asks for
  WebSocket. Returns nil if the request has no `:async-channel`.

  Options, called in this order before the function returns:
    :init               - (fn [ch]), before anything else
    :on-open            - (fn [ch]), when the channel is ready for `send!`
    :on-handshake-error - (fn [ch]), in place of :on-open when the handshake is no good (default: answers 400, or 426 if
                          only the Sec-WebSocket-Version is not 13)
  and later:
    :on-receive         - (fn [ch message]), for each WebSocket message, a String or byte[]; perhaps while :on-open
                          still runs (default: messages are dropped until `on-receive` is called)
    :on-ping            - (fn [ch data]), for each WebSocket ping, a byte[]; the pong has been sent
    :on-close           - (fn [ch status]), once; see `on-close`"
  [ring-req {:keys [init on-receive on-ping on-close on-open on-handshake-error]}]
  (when-let [ch (:async-channel ring-req)]
    (let [call (fn [f] (when f (f ch)))
          accept (when (:websocket? ring-req) (websocket-handshake-check ring-req))]
      (call init)
      (when on-close
        (org.httpkit.server/on-close ch #(on-close ch %)))
      (cond
        accept (do (when on-receive
                     (org.httpkit.server/on-receive ch #(on-receive ch %)))
                   (when on-ping
                     (org.httpkit.server/on-ping ch #(on-ping ch %)))
                   (send-checked-websocket-handshake! ch accept)
                   (when-not on-receive
                     (.openQueue ^AsyncChannel ch))
                   (call on-open))
        (:websocket? ring-req) (if on-handshake-error
                                 (on-handshake-error ch)
                                 (send! ch (handshake/refusal ring-req handshake/bad-key) true))
        :else (call on-open))
      {:body ch})))
