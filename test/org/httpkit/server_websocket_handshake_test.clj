(ns org.httpkit.server-websocket-handshake-test
  "From a request that asks for a WebSocket to a channel that is one: the wire format of the handshake, its refusals, and the
  functions and macros around it."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (org.httpkit.server AsyncChannel UpgradeOptions)))

(defn- echo [request]
  (server/as-channel request {:on-receive (fn [ch message] (server/send! ch message))}))

(deftest the-answer
  (testing "is 101, the headers given, and Date; neither Server nor a length"
    (raw/with-servers [port echo {}]
      (raw/with-connection [connection port]
        (let [{:keys [status reason lines]} (ws/handshake connection)]
          (is (= [101 "Switching Protocols"] [status reason]))
          (is (= #{["Upgrade" "websocket"] ["Connection" "Upgrade"] ["Sec-Websocket-Accept" ws/accept-of-rfc]}
                 (set (butlast lines))))
          (is (= "Date" (first (last lines)))))
        (is (= "x" (do (ws/send-text connection "x") (ws/read-text connection)))))))
  (testing "takes no extension"
    (raw/with-server [port echo {}]
      (raw/with-connection [connection port]
        (let [{:keys [headers]} (ws/handshake connection :headers {"Sec-WebSocket-Extensions" "permessage-deflate"
                                                                   "Sec-WebSocket-Protocol" "chat"})]
          (is (empty? (select-keys headers ["sec-websocket-extensions" "sec-websocket-protocol"]))))))))

(deftest frames-before-the-handshake
  (testing "sent in the same packet as the request, or before the answer, are kept"
    (raw/with-servers [port echo {}]
      (raw/with-connection [connection port]
        (ws/write-bytes connection (ws/bytes-of (ws/handshake-text "/" {})) (ws/frame :text "first") (ws/frame :text "second"))
        (is (= 101 (:status (raw/read-head connection))))
        (is (= ["first" "second"] [(ws/read-text connection) (ws/read-text connection)])))))
  (testing "while the handler still runs"
    (let [go-on (promise)]
      (raw/with-server [port (fn [request] @go-on (echo request)) {}]
        (raw/with-connection [connection port]
          (ws/write-bytes connection (ws/bytes-of (ws/handshake-text "/" {})) (ws/frame :text "early"))
          (deliver go-on true)
          (is (= 101 (:status (raw/read-head connection))))
          (is (= "early" (ws/read-text connection))))))))

(def ^:private bad-handshakes
  "Headers that make the handshake of RFC 6455 a bad one."
  [{"Sec-WebSocket-Key" nil}
   {"Sec-WebSocket-Key" "dGhlIHNhbXBsZSBub25jZQ"}
   {"Sec-WebSocket-Key" "c2hvcnQ="}
   {"Connection" "keep-alive"}])

(deftest bad-handshakes-are-refused
  (doseq [headers bad-handshakes]
    (testing headers
      (let [events (ws/events)]
        (raw/with-server [port (fn [request]
                                 (server/as-channel request {:on-open (fn [_] (ws/note events :open))
                                                             :on-close (fn [_ status] (ws/note events status))}))
                          {}]
          (raw/with-connection [connection port]
            (ws/write-bytes connection (ws/bytes-of (ws/handshake-text "/" headers)) (ws/frame :text "never run"))
            (let [{:keys [status headers body]} (raw/read-response connection)]
              (is (= [400 "text/plain" "Bad Sec-Websocket-Key header" "Close"]
                     [status (headers "content-type") body (headers "connection")])))
            (is (raw/ended? connection)))
          (is (= :server-close (ws/next-event events)))
          (is (ws/no-event? events))))))
  (testing "another version is told ours"
    (raw/with-server [port echo {}]
      (doseq [version ["8" "13, 8" nil]]
        (raw/with-connection [connection port]
          (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Version" version}))
          (let [{:keys [status headers]} (raw/read-response connection)]
            (is (= [426 "13" "websocket" "Upgrade, close"]
                   [status (headers "sec-websocket-version") (headers "upgrade") (headers "connection")])
                version))
          (is (raw/ended? connection)))))
    (raw/with-server [port (fn [request] (server/with-channel request ch (server/send! ch "never"))) {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Version" "8"}))
        (is (= [426 "13"] ((juxt :status #(get-in % [:headers "sec-websocket-version"])) (raw/read-response connection)))))))
  (testing "both at once are a bad request"
    (raw/with-server [port echo {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Version" "8" "Sec-WebSocket-Key" "short"}))
        (is (= 400 (:status (raw/read-response connection)))))))
  (testing "by the application's own answer"
    (raw/with-server [port (fn [request]
                             (server/as-channel request {:on-handshake-error #(server/send! % {:status 403 :body "mine"})}))
                      {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Key" "short"}))
        (is (= [403 "mine"] ((juxt :status :body) (raw/read-response connection)))))))
  (testing "with-channel"
    (raw/with-server [port (fn [request] (server/with-channel request ch (server/send! ch "never"))) {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Key" "short"}))
        (is (= [400 "Bad Sec-WebSocket-Key header"] ((juxt :status :body) (raw/read-response connection))))
        (is (raw/ended? connection))))))

(deftest an-upgrade-that-is-answered-in-http
  (testing "closes the connection"
    (raw/with-servers [port (fn [_] {:body "plain"}) {}]
      (raw/with-connection [connection port]
        (ws/write-bytes connection (ws/bytes-of (ws/handshake-text "/" {})) (ws/bytes-of (raw/request "GET" "/")))
        (let [{:keys [status headers body]} (raw/read-response connection)]
          (is (= [200 "Close" "plain"] [status (headers "connection") body])))
        (is (raw/ended? connection)))))
  (testing "also by send! before any handshake, which is whole whatever its caller says"
    (raw/with-server [port (fn [request]
                             (let [ch (:async-channel request)]
                               (is (server/websocket? ch))
                               (is (true? (server/send! ch {:status 403 :body "no"} false)))
                               (is (not (server/open? ch)))
                               {:body ch}))
                      {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {}))
        (is (= [403 "no" "2"] ((juxt :status :body #(get-in % [:headers "content-length"])) (raw/read-response connection))))
        (is (raw/ended? connection))))))

(deftest as-channel-order
  (testing "init, on-close set, handshake, on-open, all before it returns"
    (let [events (ws/events)]
      (raw/with-servers [port (fn [request]
                                (let [ch (:async-channel request)
                                      response (server/as-channel
                                                request
                                                {:init (fn [ch] (ws/note events [:init (.hasCloseHandler ^AsyncChannel ch)]))
                                                 :on-open (fn [ch]
                                                            (ws/note events [:open (.hasCloseHandler ^AsyncChannel ch)])
                                                            (server/send! ch "welcome"))
                                                 :on-receive (fn [_ message] (ws/note events message))
                                                 :on-close (fn [closed status] (ws/note events [(identical? ch closed) status]))})]
                                  (ws/note events (= {:body ch} response))
                                  response))
                         {}]
        (ws/with-socket [connection port]
          (is (= "welcome" (ws/read-text connection)))
          (is (= [[:init false] [:open true] true] (repeatedly 3 #(ws/next-event events))))
          (ws/send-text connection "x")
          (is (= "x" (ws/next-event events)))
          (ws/send-close connection 1000 ""))
        (is (= [true :normal] (ws/next-event events))))))
  (testing "every option may be missing"
    (raw/with-server [port #(server/as-channel % {}) {}]
      (ws/with-socket [connection port]
        (ws/write-bytes connection (ws/frame :text "dropped") (ws/frame :ping "p"))
        (is (= :pong (:type (ws/read-frame connection)))))))
  (testing "an exception of on-open is logged; the WebSocket stays open"
    (let [log (atom [])]
      (raw/with-servers [port #(server/as-channel % {:on-open (fn [_] (throw (Exception. "mine")))
                                                     :on-receive server/send!})
                         (raw/quiet log)]
        (ws/with-socket [connection port :target "/open"]
          (ws/send-text connection "x")
          (is (= "x" (ws/read-text connection)))))
      (is (= (repeat 3 ["GET /open" "mine"]) (map (fn [[message exception]] [message (ex-message exception)]) @log))))))

(deftest with-channel-keeps-the-first-messages
  (testing "until on-receive is set, also when the handler takes its time"
    (let [arrived (ws/events)]
      (raw/with-servers [port (fn [request]
                                (server/with-channel request ch
                                  (ws/next-event arrived)
                                  (server/on-receive ch #(server/send! ch (str "got " %)))))
                         {}]
        (ws/with-socket [connection port]
          ;; The pong says that the engine has read what was before the ping.
          (ws/write-bytes connection (ws/frame :text "1") (ws/frame :text "2") (ws/frame :ping "p"))
          (is (= :pong (:type (ws/read-frame connection))))
          (ws/note arrived true)
          (is (= ["got 1" "got 2"] [(ws/read-text connection) (ws/read-text connection)]))))))
  (testing "and delivers them while the handler waits for them"
    (raw/with-servers [port (fn [request]
                              (server/with-channel request ch
                                (let [heard (promise)]
                                  (server/send! ch "ready")
                                  (server/on-receive ch #(deliver heard %))
                                  (server/send! ch (str "heard " (raw/await-value heard))))))
                       {}]
      (ws/with-socket [connection port]
        (is (= "ready" (ws/read-text connection)))
        (ws/send-text connection "x")
        (is (= "heard x" (ws/read-text connection))))))
  (testing "a handler that returns nothing has returned as well: what comes from now on is heard or dropped"
    (let [warnings (ws/events)
          channels (ws/events)]
      (raw/with-servers [port (fn [request]
                                (server/send-websocket-handshake! (:async-channel request) request)
                                (ws/note channels (:async-channel request))
                                nil)
                         {:warn-logger (fn [message _] (ws/note warnings message))}]
        (ws/with-socket [connection port]
          (let [ch (ws/next-event channels)]
            (server/on-receive ch #(server/send! ch %))
            (ws/send-text connection "heard")
            (is (= "heard" (ws/read-text connection)))
            (is (string/starts-with? (ws/next-event warnings) "Response ignored: GET / ")))))
      (is (ws/no-event? warnings)))))

(deftest asynchronous-handlers
  (testing "a response through respond upgrades as well"
    (raw/with-servers [port (fn [request respond _] (respond (echo request))) {:ring-async? true}]
      (ws/with-socket [connection port]
        (ws/send-text connection "x")
        (is (= "x" (ws/read-text connection))))))
  (testing "messages wait until the request is completed"
    (let [respond-later (promise)
          channel (promise)]
      (raw/with-server [port (fn [request respond _]
                               (server/send-websocket-handshake! (:async-channel request) request)
                               (deliver channel (:async-channel request))
                               (deliver respond-later respond))
                        {:ring-async? true}]
        (ws/with-socket [connection port]
          (ws/write-bytes connection (ws/frame :text "kept") (ws/frame :ping "p"))
          (is (= :pong (:type (ws/read-frame connection))))
          (server/on-receive @channel #(server/send! @channel %))
          (is (= "kept" (ws/read-text connection)))
          (@respond-later {:body @channel}))))))

(deftest send-websocket-handshake
  (let [results (ws/events)]
    (raw/with-server [port (fn [request]
                             (let [ch (:async-channel request)]
                               (ws/note results [(server/send-websocket-handshake! ch request)])
                               (server/send! ch "x")
                               {:body ch}))
                      {}]
      (ws/with-socket [connection port]
        (is (= "x" (ws/read-text connection))))
      (is (= [true] (ws/next-event results)))
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {"Sec-WebSocket-Key" "short"}))
        (is (= [200 "x"] ((juxt :status :body) (raw/read-response connection)))))
      (is (= [nil] (ws/next-event results))))))

(deftest send-handshake
  (testing "puts further headers on the answer"
    (raw/with-server [port (fn [request]
                             (let [ch ^AsyncChannel (:async-channel request)
                                   headers {"Upgrade" "websocket"
                                            "Connection" "Upgrade"
                                            "Sec-WebSocket-Accept" (server/websocket-handshake-check request)
                                            "Sec-WebSocket-Protocol" "chat"
                                            "Set-Cookie" ["a=1" "b=2"]}]
                               (if (= "/options" (:uri request))
                                 (.sendHandshake ch headers UpgradeOptions/DEFAULT)
                                 (.sendHandshake ch headers))
                               {:body ch}))
                      {}]
      (doseq [target ["/" "/options"]]
        (raw/with-connection [connection port]
          (is (= #{["Sec-Websocket-Protocol" "chat"] ["Set-Cookie" "a=1"] ["Set-Cookie" "b=2"]}
                 (set (filter #(#{"Sec-Websocket-Protocol" "Set-Cookie"} (first %))
                              (:lines (ws/handshake connection :target target))))))))))
  (testing "with a header that cannot be sent, throws and leaves the channel open for an answer"
    (are [headers]
         (raw/with-server [port (fn [request]
                                  (let [ch ^AsyncChannel (:async-channel request)]
                                    (is (thrown? IllegalArgumentException (.sendHandshake ch headers)))
                                    (is (server/open? ch))
                                    (server/send! ch "answered")
                                    {:body ch}))
                           {}]
           (raw/with-connection [connection port]
             (raw/write connection (ws/handshake-text "/" {}))
             (is (= "answered" (:body (raw/read-response connection))))))
      {"A" "b\r\nC: d"}
      {"Sec WebSocket" "x"}
      {:upgrade "websocket"}))
  (testing "on a channel that is answered does nothing"
    (raw/with-server [port (fn [request]
                             (let [ch ^AsyncChannel (:async-channel request)]
                               (server/send! ch {:status 403})
                               (.sendHandshake ch {})
                               {:body ch}))
                      {}]
      (raw/with-connection [connection port]
        (raw/write connection (ws/handshake-text "/" {}))
        (is (string/starts-with? (raw/read-rest connection) "HTTP/1.1 403 "))))))

(deftest a-client-that-leaves-before-the-handshake
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [entered (promise)
            gone (promise)
            events (ws/events)]
        (raw/with-server [port (fn [request]
                                 (deliver entered true)
                                 (raw/await-value gone)
                                 (raw/await-client-gone request)
                                 (.setCloseRingHandler ^AsyncChannel (:async-channel request) #(ws/note events [%1 %2]))
                                 (server/as-channel request {:on-close (fn [_ status] (ws/note events status))}))
                          {:dispatch dispatch}]
          (let [connection (raw/connect port)]
            (raw/write connection (ws/handshake-text "/" {}))
            (raw/await-value entered)
            (ws/reset connection)
            (deliver gone true))
          (is (= #{[1001 ""] :going-away} (set (repeatedly 2 #(ws/next-event events)))) "as one that leaves after it")
          (is (ws/no-event? events)))))))

(deftest clj-kondo-knows-with-channel
  (testing "as a macro of the shape [expression name & body] that comes with Clojure"
    (let [config (edn/read-string (slurp (io/resource "clj-kondo.exports/httpkit-rs/httpkit-rs/config.edn")))]
      (is (= '{:lint-as {org.httpkit.server/with-channel clojure.core/as->}} config))
      (is (= '[[ring-req ch-name & body]] (:arglists (meta #'server/with-channel)))))))
