(ns org.httpkit.server-connection-test
  "Connections as HTTP/1.1 clients see them: keep-alive, pipelining, refusals and deadlines."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw])
  (:import (java.util.concurrent CountDownLatch)))

(defn- echo [request]
  (if (= "/close" (:uri request))
    {:headers {"Connection" "close"} :body "closing"}
    {:body (some-> (:body request) slurp)}))

(deftest keep-alive
  (raw/with-servers [port echo {}]
    (are [kept connection-header version request-header]
         (raw/with-connection [connection port]
           (raw/write connection (raw/request "GET" "/" :version version
                                              :headers (when request-header {"Connection" request-header})))
           (let [response (raw/read-response connection)]
             (is (= connection-header ((:headers response) "connection")))
             (if kept
               (do (raw/write connection (raw/request "GET" "/"))
                   (is (= 200 (:status (raw/read-response connection)))))
               (is (raw/ended? connection)))))
      true nil "1.1" nil
      true nil "1.1" "keep-alive"
      false "Close" "1.1" "close"
      false "Close" "1.1" "Keep-Alive, CLOSE"
      false nil "1.0" nil
      true "Keep-Alive" "1.0" "keep-alive"
      true "Keep-Alive" "1.0" "Keep-Alive"
      false nil "1.0" "keep-alive, close")))

(deftest the-handler-closes
  (testing "what was pipelined behind is not run"
    (let [seen (atom [])]
      (raw/with-servers [port (fn [request] (swap! seen conj (:uri request)) (echo request)) {}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/close") (raw/request "GET" "/after"))
          (let [response (raw/read-response connection)]
            (is (= ["close" "closing"] [((:headers response) "connection") (:body response)])))
          (is (raw/ended? connection))))
      (is (= #{"/close"} (set @seen)))))
  (testing "HTTP/1.0 keep-alive gives way"
    (raw/with-servers [port echo {}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/close" :version "1.0" :headers {"Connection" "keep-alive"}))
        (is (= ["close"] (keep #(when (= "Connection" (first %)) (second %)) (:lines (raw/read-response connection)))))
        (is (raw/ended? connection))))))

(deftest a-refused-upgrade-closes
  (raw/with-servers [port echo {}]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "GET" "/" :headers {"Upgrade" "websocket" "Connection" "Upgrade"})
                 (raw/request "GET" "/after"))
      (is (= "Close" ((:headers (raw/read-response connection)) "connection")))
      (is (raw/ended? connection)))))

(deftest pipelining
  (raw/with-servers [port echo {}]
    (raw/with-connection [connection port]
      (let [bodies (map str (range 200))]
        (raw/write connection (string/join (map #(raw/request "POST" "/" :body %) bodies)))
        (is (= bodies (repeatedly 200 #(:body (raw/read-response connection)))))))))

(deftest one-request-at-a-time
  (let [gate (CountDownLatch. 1)
        entered (CountDownLatch. 1)
        seen (atom [])]
    (raw/with-server [port (fn [request]
                             (swap! seen conj (:uri request))
                             (when (= "/1" (:uri request))
                               (.countDown entered)
                               (raw/await-latch gate))
                             {:body (:uri request)})
                      {}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/1") (raw/request "GET" "/2"))
        (raw/await-latch entered)
        (is (= "/3" (:body (raw/fetch port "GET" "/3"))))
        (is (= ["/1" "/3"] @seen))
        (.countDown gate)
        (is (= ["/1" "/2"] (repeatedly 2 #(:body (raw/read-response connection)))))))))

(deftest byte-by-byte
  (raw/with-servers [port echo {}]
    (raw/with-connection [connection port]
      (doseq [character (raw/request "POST" "/?q" :headers {"X" "y"} :body "body")]
        (raw/write connection character))
      (is (= "body" (:body (raw/read-response connection)))))))

(deftest half-close
  (testing "a client that has said all it has to say still gets its answer"
    (let [entered (CountDownLatch. 1)
          gate (CountDownLatch. 1)]
      (raw/with-server [port (fn [_] (.countDown entered) (raw/await-latch gate) {:body "answer"}) {}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/half-close connection)
          (raw/await-latch entered)
          (.countDown gate)
          (is (= "answer" (:body (raw/read-response connection))))
          (is (raw/ended? connection)))))))

(deftest continue
  (raw/with-servers [port echo {:max-body 10}]
    (raw/with-connection [connection port]
      (raw/write connection "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
      (is (= [100 "Continue"] ((juxt :status :reason) (raw/read-head connection))))
      (raw/write connection "bo")
      (raw/write connection "dy")
      (is (= [200 "body"] ((juxt :status :body) (raw/read-response connection))))
      (testing "not for a body that is there already"
        (raw/write connection "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\nbody")
        (is (= 200 (:status (raw/read-response connection)))))
      (testing "nor for one that is too large"
        (raw/write connection "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        (is (= 413 (:status (raw/read-response connection))))
        (is (raw/ended? connection))))))

(def ^:private refusals
  "Status and raw request. The engine's own tests have the full tables; these prove that its verdicts reach the wire."
  [[400 "GET / HTTP/1.1\r\n\r\n"]
   [400 "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"]
   [400 "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"]
   [400 "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"]
   [400 "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"]
   [400 "GET / HTTP/2.0\r\nHost: a\r\n\r\n"]
   [400 "GET / HTTP/1.1\nHost: a\n\n"]
   [400 "GET / HTTP/1.1\r\nHost : a\r\n\r\n"]
   [400 "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"]
   [400 "GET / HTTP/1.1\r\nHost: a\r\nX: \u0000\r\n\r\n"]
   [400 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n1"]
   [400 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1"]
   [400 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
   [400 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"]
   [400 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naX\r\n"]
   [413 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"]
   [413 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"]
   [414 (str "GET /" (string/join (repeat 300 "x")) " HTTP/1.1\r\nHost: a\r\n\r\n")]
   [431 (str "GET / HTTP/1.1\r\nHost: a\r\n" (string/join (repeat 200 "X: y\r\n")) "\r\n")]
   [431 (str "GET / HTTP/1.1\r\nHost: a\r\n" (string/join (for [i (range 100)] (str "X" i ": " (string/join (repeat 190 "y")) "\r\n")))
             (string/join (repeat 30 (str "Y: " (string/join (repeat 190 "y")) "\r\n"))) "\r\n")]])

(deftest refused-requests
  (let [dispatched (atom 0)]
    (raw/with-server [port (fn [_] (swap! dispatched inc) {:body "x"})
                      {:max-body 1000 :max-line 200 :max-headers 128}]
      (doseq [[status text] refusals]
        (testing (pr-str (subs text 0 (min 80 (count text))))
          (raw/with-connection [connection port]
            (raw/write connection text (raw/request "GET" "/smuggled"))
            (let [response (raw/read-response connection)]
              (is (= [status "Close"] [(:status response) ((:headers response) "connection")]))
              (is (= "http-kit" ((:headers response) "server"))))
            (is (= "" (raw/read-rest connection)))))))
    (is (= 0 @dispatched)))
  (testing "an unknown method"
    (raw/with-server [port (fn [_] {:body "x"}) {}]
      (is (contains? #{400 405 501} (:status (raw/fetch port "BREW" "/")))))))

(deftest proxy-protocol
  (let [address (fn [port line]
                  (raw/with-connection [connection port]
                    (raw/write connection line (raw/request "GET" "/"))
                    ((juxt :status :body) (raw/read-response connection))))
        handler (fn [{:keys [remote-addr headers]}]
                  {:body (string/join " " (cons remote-addr (map headers ["x-forwarded-for" "x-forwarded-port"
                                                                          "x-forwarded-proto"])))})
        line "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n"]
    (raw/with-server [port handler {:proxy-protocol :enable}]
      (is (= [200 "1.2.3.4 1.2.3.4 443 https"] (address port line)))
      (is (= 400 (first (address port ""))))
      (is (= 400 (first (address port "PROXY TCP4 1.2.3.4 5.6.7.8 0 443\r\n")))))
    (raw/with-server [port handler {:proxy-protocol :optional}]
      (is (= [200 "1.2.3.4 1.2.3.4 443 https"] (address port line)))
      (is (= [200 "127.0.0.1   "] (address port ""))))
    (raw/with-server [port handler {}]
      (is (= 400 (first (address port line)))))))

(deftest deadlines
  (testing "a head that does not come"
    (raw/with-server [port echo {:header-timeout 50}]
      (raw/with-connection [connection port]
        (raw/write connection "GET / HTTP/1.1\r\nHost")
        (is (string/starts-with? (str (raw/read-rest connection) "HTTP/1.1 408") "HTTP/1.1 408")))))
  (testing "a body that stops coming"
    (raw/with-server [port echo {:body-timeout 50}]
      (raw/with-connection [connection port]
        (raw/write connection "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        (is (string/starts-with? (str (raw/read-rest connection) "HTTP/1.1 408") "HTTP/1.1 408")))))
  (testing "an idle connection"
    (raw/with-server [port echo {:keep-alive-timeout 50}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/"))
        (is (= 200 (:status (raw/read-response connection))))
        (is (raw/ended? connection))))))

(deftest connection-cap
  (raw/with-server [port echo {:max-connections 1}]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "POST" "/" :body "1"))
      (is (= "1" (:body (raw/read-response connection))))
      (testing "the kept connection still works while another waits or is refused"
        (raw/with-connection [_other port]
          (raw/write connection (raw/request "POST" "/" :body "2"))
          (is (= "2" (:body (raw/read-response connection)))))))))
