(ns ring-jetty-ws.handshake-test
  "Which requests become WebSockets, and what the others are answered."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as client]
            [ring-jetty-ws.ws :as ws])
  (:import (java.util Locale)))

(defn- record [queue & event]
  (client/note queue (vec event)))

(defn- answering
  "Returns a Ring handler whose upgrades get this response."
  [response]
  (ws/wrap-configurator (constantly {:status 200 :body "ring"}) (ws/configurator (constantly response))))

(defn- upgrade
  "Returns the response to a request for an upgrade, and then ends the connection."
  [port & {:keys [target headers] :or {target "/"}}]
  (raw/with-connection [connection port]
    (raw/write connection (client/handshake-text target headers))
    (raw/read-response connection)))

(deftest refusals
  (testing "a handler's 400 is the client's, with its headers, without its body; Ring's handler is not called"
    (raw/with-server [port (answering {:status 400 :headers {"X-Why" "quota" "Content-Type" "a/b"} :body "ignored"}) {}]
      (let [{:keys [status headers body]} (upgrade port)]
        (is (= [400 "quota" "text/plain; charset=utf-8" "The WebSocket was refused"]
               [status (headers "x-why") (headers "content-type") body])))))
  (testing "nil is 403"
    (raw/with-server [port (answering nil) {}]
      (is (re-find #"GET /: the handshake handler returned no :ws-handlers"
                   (binding [*err* (java.io.StringWriter.)]
                     (let [before System/err
                           printed (java.io.ByteArrayOutputStream.)]
                       (System/setErr (java.io.PrintStream. printed true))
                       (try
                         (is (= 403 (:status (upgrade port))))
                         (finally (System/setErr before)))
                       (str printed)))))))
  (testing "a status other than 101 refuses, whatever :ws-handlers are there"
    (raw/with-server [port (answering {:status 404 :ws-handlers {}}) {}]
      (is (= 404 (:status (upgrade port))))))
  (testing "what is no status of an answer is 403"
    (doseq [status [101 99 600 "400"]]
      (raw/with-server [port (answering {:status status}) {}]
        (is (= 403 (:status (upgrade port)))))))
  (testing "a handler that throws is logged and answered with 500"
    (let [log (atom [])
          handler (ws/wrap-configurator identity (ws/configurator (fn [_] (throw (ex-info "no" {})))))]
      (raw/with-server [port handler (raw/quiet log)]
        (is (= 500 (:status (upgrade port :target "/room"))))
        (is (= ["GET /room"] (map first @log)))))))

(deftest malformed-handshakes
  (let [queue (client/events)
        handler (ws/wrap-configurator identity (ws/configurator (fn [_] (record queue :called))))]
    (raw/with-server [port handler {}]
      (let [{:keys [status headers]} (upgrade port :headers {"Sec-WebSocket-Version" "8"})]
        (is (= [400 "13"] [status (headers "sec-websocket-version")])))
      (is (= 400 (:status (upgrade port :headers {"Sec-WebSocket-Key" "short"}))))
      (is (client/no-event? queue)))))

(deftest acceptance
  (testing "no callbacks at all are enough"
    (raw/with-server [port (answering {:ws-handlers {}}) {}]
      (client/with-socket [connection port]
        (client/send-text connection "to nobody")
        (client/send-frame connection :ping (byte-array [1]))
        (is (= :pong (:type (client/read-frame connection)))))))
  (testing "headers of one value and of several, and a subprotocol the client offered"
    (raw/with-server [port (answering {:status 101 :ws-handlers {}
                                       :headers {"X-One" "1" "X-Many" ["2" "3"] "connection" "close"
                                                 "Sec-WebSocket-Protocol" "chat"}}) {}]
      (let [{:keys [status lines]} (upgrade port :headers {"Sec-WebSocket-Protocol" "superchat, chat"})
            values (fn [header] (for [[name value] lines :when (.equalsIgnoreCase header name)] value))]
        (is (= 101 status))
        (is (= ["1"] (values "x-one")))
        (is (= ["2" "3"] (values "x-many")))
        (is (= ["Upgrade"] (values "connection")))
        (is (= ["chat"] (values "sec-websocket-protocol"))))))
  (testing "names are compared by the protocol's rules, not by those of Turkish"
    (let [locale (Locale/getDefault)]
      (try
        (Locale/setDefault (Locale/forLanguageTag "tr"))
        (raw/with-server [port (answering {:ws-handlers {} :headers {"CONNECTION" "close"}}) {}]
          (is (= "Upgrade" (get-in (upgrade port) [:headers "connection"]))))
        (finally (Locale/setDefault locale)))))
  (testing "a subprotocol the client did not offer is a mistake of the application's"
    (let [log (atom [])]
      (raw/with-server [port (answering {:ws-handlers {} :headers {"Sec-WebSocket-Protocol" "mqtt"}}) (raw/quiet log)]
        (is (= 500 (:status (upgrade port))))
        (is (= [["GET /" IllegalArgumentException]] (map (juxt first (comp class second)) @log)))
        (testing "and the error tells which it did offer"
          (is (= 500 (:status (upgrade port :headers {"Sec-WebSocket-Protocol" "soap, chat"}))))
          (is (= ["Sec-WebSocket-Protocol must be one the client offered, (), got (\"mqtt\")"
                  "Sec-WebSocket-Protocol must be one the client offered, (\"chat\" \"soap\"), got (\"mqtt\")"]
                 (map (comp ex-message second) @log))))))))

(deftest who-gets-which-request
  (let [queue (client/events)
        handler (ws/wrap-configurator
                 (fn [{:keys [uri]}] (record queue :ring uri) {:status 200 :body "ring"})
                 (ws/configurator (fn [{:keys [uri]}] (record queue :ws uri) {:status 404})))
        plain (fn [port & options] (:body (apply raw/fetch port options)))]
    (raw/with-server [port handler {}]
      (testing "a plain GET is Ring's"
        (is (= "ring" (plain port "GET" "/plain")))
        (is (= [:ring "/plain"] (client/next-event queue))))
      (testing "an upgrade is not, whatever its target"
        (is (= 404 (:status (upgrade port :target "/nowhere"))))
        (is (= [:ws "/nowhere"] (client/next-event queue))))
      (testing "what is no upgrade to WebSocket is Ring's"
        (doseq [[method version headers] [["POST" "1.1" {}]
                                          ["GET" "1.0" {}]
                                          ["GET" "1.1" {"Upgrade" "h2c"}]
                                          ["GET" "1.1" {"Connection" "keep-alive"}]]]
          (is (= "ring" (plain port method "/not" :version version :headers (merge client/handshake-headers headers))))
          (is (= [:ring "/not"] (client/next-event queue))))))))

(deftest the-request-map
  (testing "exactly the ten keys"
    (let [seen (promise)
          handler (ws/wrap-configurator identity (ws/configurator (fn [request] (deliver seen request) {:status 404})))]
      (raw/with-server [port handler {}]
        (upgrade port :target "/room?id=7" :headers {"X-Two" "a"})
        (let [request (raw/await-value seen)]
          (is (= #{:server-port :server-name :remote-addr :uri :query-string :scheme :request-method :protocol :headers
                   :ssl-client-cert}
                 (set (keys request))))
          (is (= ["/room" "id=7" :http :get "HTTP/1.1" "localhost" "127.0.0.1" nil]
                 ((juxt :uri :query-string :scheme :request-method :protocol :server-name :remote-addr :ssl-client-cert)
                  request)))
          (is (= "a" (get-in request [:headers "x-two"]))))))))
