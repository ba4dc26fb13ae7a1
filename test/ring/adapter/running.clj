(ns ring.adapter.running
  "Servers of the Ring adapter for tests."
  (:require [httpkit-rs.raw :as raw]
            [ring.adapter.httpkit-rs :refer [run-httpkit-rs]])
  (:import (ring.adapter.httpkit_rs.server Server)))

(defn start
  "Starts a server on a free port of the loopback address."
  ^Server [handler options]
  (run-httpkit-rs handler (merge {:port 0 :host "127.0.0.1" :join? false} options)))

(defmacro with-server
  "Runs the body with `server` bound to a running server, then stops it."
  [[server handler options] & body]
  `(let [~(with-meta server {:tag `Server}) (start ~handler ~options)]
     (try ~@body (finally (.stop ~(with-meta server {:tag `Server}))))))

(defn fetch
  "As `raw/fetch`, from a server."
  [^Server server method target & options]
  (apply raw/fetch (.getPort server) method target options))

(defn thrown-message
  "Returns [class message] of what the function throws, nil if nothing."
  [f]
  (try (f) nil (catch Throwable e [(class e) (ex-message e)])))
