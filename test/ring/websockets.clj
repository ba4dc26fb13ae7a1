(ns ring.websockets
  "Servers whose handler returns a WebSocket listener, for tests: http-kit's entry and Ring's, both kinds of handler."
  (:require [clojure.test :refer [testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as websocket]
            [org.httpkit.server :as server]
            [ring.adapter.running :as running])
  (:import (java.nio ByteBuffer)))

(defn bytes-of
  "Returns what is left of a buffer, as a vector, and leaves it."
  [^ByteBuffer buffer]
  (let [copy (.duplicate buffer)]
    (vec (repeatedly (.remaining copy) #(.get copy)))))

(defn recorder
  "Returns a listener that notes what it hears in `events`, as [key argument ...]. `callbacks` take the place of its own."
  [events & {:as callbacks}]
  (let [note (fn [& event] (websocket/note events (vec event)))
        plain #(if (instance? ByteBuffer %) (bytes-of %) %)]
    (merge {:on-open (fn [_] (note :on-open))
            :on-message (fn [_ message] (note :on-message (plain message)))
            :on-pong (fn [_ data] (note :on-pong (plain data)))
            :on-error (fn [_ e] (note :on-error (class e) (ex-message e)))
            :on-close (fn [_ code reason] (note :on-close code reason))}
           callbacks)))

(defn handler
  "Returns a handler of both kinds. An asynchronous call responds from another thread, after the handler has returned."
  [response]
  (fn
    ([request] (response request))
    ([request respond _]
     (let [returned (promise)]
       (future (raw/await-value returned) (respond (response request)))
       (deliver returned true)
       nil))))

(def entries
  "Ways to start a server: functions of a handler and options that return [port stop]."
  {:run-server (fn [handler options]
                 (let [stop (server/run-server handler (merge {:port 0 :ip "127.0.0.1"} options))]
                   [(:local-port (meta stop)) stop]))
   :adapter (fn [handler options]
              (let [running (running/start handler (assoc (dissoc options :ring-async?) :async? (boolean (:ring-async? options))))]
                [(.getPort running) #(.stop running)]))})

(defmacro with-listener
  "Runs the body with `port` bound to the port of a server that upgrades every request to `listener`, which is evaluated for each
  request. Options are run-server's, `:entry` (:run-server, :adapter), and `:response`, merged into the response."
  [[port listener options] & body]
  `(let [options# ~options
         start# (entries (:entry options# :run-server))
         [~port stop#] (start# (handler (fn [_#] (merge {:ring.websocket/listener ~listener} (:response options#))))
                               (dissoc options# :entry :response))]
     (try ~@body (finally (stop#)))))

(defmacro with-listeners
  "As `with-listener`, once for each entry, kind of handler and way of dispatch."
  [[port listener options] & body]
  `(doseq [entry# (keys entries), async?# [false true], dispatch# raw/dispatches]
     (testing [entry# (if async?# :async :sync) dispatch#]
       (with-listener [~port ~listener (merge {:entry entry# :ring-async? async?# :dispatch dispatch#} ~options)]
         ~@body))))
