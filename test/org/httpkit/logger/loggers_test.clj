(ns org.httpkit.logger.loggers-test
  "Event names, and loggers as http-kit's client uses them."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is]]
            [httpkit-rs.printed :refer [printed]])
  (:import (org.httpkit.logger ContextLogger EventLogger EventNames)
           (org.httpkit.server HttpServer)))

(deftest event-names
  (is (= "httpkit.server.status.processed." (.serverStatusPrefix EventNames/DEFAULT)))
  (is (= "httpkit.client.impossible" (.clientImpossible EventNames/DEFAULT)))
  (let [names (EventNames. {"serverStatus404" "missing" :serverStatus500 "ignored"})]
    (is (= "missing" (.serverStatus404 names)))
    (is (= "httpkit.server.status.500" (.serverStatus500 names)))
    (is (= "httpkit.server.status.503.todo" (.serverStatus503Todo names)))
    (is (= ["httpkit.server.accept.error" "httpkit.server.loop.error" "httpkit.server.ws.decode.error"
            "httpkit.server.ws.frame.error" "httpkit.server.channel.close.error" "httpkit.server.status.413"
            "httpkit.server.status.414" "httpkit.server.status.503"]
           [(.serverAcceptError names) (.serverLoopError names) (.serverWsDecodeError names)
            (.serverWsFrameError names) (.serverChannelCloseError names) (.serverStatus413 names)
            (.serverStatus414 names) (.serverStatus503 names)]))))

(deftest default-loggers
  (let [error (printed #(.log ContextLogger/ERROR_PRINTER "GET /" (ex-info "oh no" {})))]
    (is (re-find #"^.+ \[.+\] ERROR - GET /\n" error))
    (is (string/includes? error "oh no"))
    (is (string/includes? error "\tat ")))
  (is (re-find #"ERROR - GET /\n$" (printed #(.log ContextLogger/ERROR_PRINTER "GET /" nil))))
  (is (re-find #"^.+ \[server-loop\] WARN - oh no\n$"
               (printed #(.log HttpServer/DEFAULT_WARN_LOGGER nil (ex-info "oh no" {})))))
  (is (= "" (printed #(.log EventLogger/NOP "event")))))
