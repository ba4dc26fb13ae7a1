(ns ring.adapter.httpkit-rs
  "A Ring adapter for the server of httpkit-rs, with the option names of ring.adapter.jetty.

  Requests and responses are what Ring's SPEC says where http-kit's ways differ; `org.httpkit.server/run-server` keeps those."
  (:require [ring.adapter.httpkit-rs.options :as options]
            [ring.adapter.httpkit-rs.server :as server])
  (:import (ring.adapter.httpkit_rs.server Server)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn run-httpkit-rs
  "Starts a server for a Ring handler, and by default waits until it has been stopped. Returns the server.

  The server has the methods `stop` (with milliseconds running requests may still take, default 100), `start` after a stop,
  `join`, `isRunning`, `isStarted`, `isStopped`, `getPort` (the bound one; -1 for a Unix socket), `getURI`, and is a
  java.io.Closeable. A wrong option is an exception that names it before anything is started (a ClassCastException,
  NullPointerException, ArithmeticException or IllegalArgumentException), a port in use a java.net.BindException.

  Address:
    :port                  - port to listen on, 0 for any free one (default 80)
    :host                  - host name or address (default: every address of the machine)
    :http?                 - whether to listen on :port (default true)
    :unix-socket           - path of a Unix domain socket to listen on as well; removed when the server stops (Java 16)

  Handler:
    :async?                - whether handlers take [request respond raise] (default false)
    :async-timeout         - milliseconds an asynchronous handler may take to respond, 0 for any time (default 0)
    :async-timeout-handler - asynchronous handler of requests that have taken longer (default: they are answered 500)
    :max-threads           - handlers that run at once (default: see run-server; given any of these three, 50)
    :min-threads           - at most :max-threads; threads are started as they are needed
    :max-queued-requests   - requests that may wait for a thread; others are answered 503; less than 8 means 8 (default
                             20480)
    :thread-pool           - java.util.concurrent.Executor for every handler; an ExecutorService is shut down with the server
    :join?                 - whether to wait until the server has been stopped (default true)
    :daemon?               - whether the JVM may end while the server runs (default false)

  Connections:
    :max-idle-time         - milliseconds without a byte in which a connection is not waiting for the handler, 0 for any time
                             (default 200000)
    :request-header-size   - bytes of a request line or header line (default 8192)
    :send-server-version?  - whether answers name the server (default true)

  WebSockets:
    :ws-idle-timeout       - milliseconds without a frame after which one is closed, 0 for any time (default 30000); with a
                             shorter :ws-ping-interval only where the client answers no ping
    :ws-max-text-size      - bytes of a text message (default 65536)
    :ws-max-binary-size    - bytes of a binary message (default 65536)

  These have no effect here: :acceptor-threads, :selector-threads, :thread-idle-timeout, :output-buffer-size,
  :response-header-size. TLS options are refused unless :ssl? is false, and so are :configurator, which is a function of a Jetty
  server, and a false :send-date-header?, against RFC 9110.

  Of run-server's own options these are taken too: :backlog, :max-body, :max-line, :max-headers, :max-connections, :max-ws,
  :max-pending, :max-pending-total, :max-received-total, :slow-client, :ws-ping-interval, :header-timeout, :body-timeout,
  :write-timeout, :keep-alive-timeout, :dispatch, :in-place-budget, :stream-body?, :expose-errors?, :server-header, :trusted-proxies,
  :proxy-protocol, :legacy-unsafe-remote-addr?, :error-logger, :warn-logger, :event-logger, :event-names."
  (^Server [handler] (run-httpkit-rs handler {}))
  (^Server [handler options]
   (let [^Server running (server/new-server handler (options/checked options))]
     (.start running)
     (when (get options :join? true)
       (try
         (.join running)
         (catch Throwable e
           (.stop running)
           (throw e))))
     running)))
