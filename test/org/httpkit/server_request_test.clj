(ns org.httpkit.server-request-test
  "The request map: every key, its Java type, and http-kit's defaults."
  (:require [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw])
  (:import (java.net Inet6Address InetAddress)
           (org.httpkit BytesInputStream)
           (org.httpkit.server AsyncChannel)))

(defn- requests
  "Returns the request map the handler got for each of the raw requests, sent on one connection each, in `dispatch` mode."
  [options & texts]
  (let [seen (atom [])]
    (raw/with-server [port (fn [request] (swap! seen conj request) nil) options]
      (doseq [text texts]
        (raw/with-connection [connection port]
          (raw/write connection text)
          (raw/read-response connection))))
    @seen))

(defn- request-map [& text]
  (first (requests {} (apply str text))))

(def ^:private all-keys
  #{:server-port :server-name :remote-addr :uri :query-string :scheme :request-method :protocol :headers :content-type
    :content-length :character-encoding :body :async-channel :websocket? :start-time})

(deftest every-key-is-there
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [before (System/nanoTime)
            [plain full] (requests {:dispatch dispatch}
                                   "GET / HTTP/1.0\r\n\r\n"
                                   (str "POST /a/b?c=d?e HTTP/1.1\r\nHost: example.org:81\r\nX-One: 1\r\n"
                                        "Content-Type: text/plain; charset=latin1\r\nContent-Length: 3\r\n\r\nabc"))]
        (is (= all-keys (set (keys plain)) (set (keys full))))
        (is (= {:request-method :get :uri "/" :query-string nil :protocol "HTTP/1.0" :scheme :http :server-name nil
                :server-port 80 :headers {} :content-type nil :content-length 0 :character-encoding "utf8" :body nil
                :websocket? false :remote-addr "127.0.0.1"}
               (dissoc plain :async-channel :start-time)))
        (is (= {:request-method :post :uri "/a/b" :query-string "c=d?e" :protocol "HTTP/1.1" :scheme :http
                :server-name "example.org" :server-port 81
                :headers {"host" "example.org:81" "x-one" "1" "content-type" "text/plain; charset=latin1"
                          "content-length" "3"}
                :content-type "text/plain" :content-length 3 :character-encoding "latin1" :websocket? false
                :remote-addr "127.0.0.1"}
               (dissoc full :async-channel :start-time :body)))
        (is (= [Integer Integer Long] (map (comp class full) [:server-port :content-length :start-time])))
        (is (< before (:start-time plain) (:start-time full) (System/nanoTime)))
        (is (instance? AsyncChannel (:async-channel full)))
        (is (not= (:async-channel plain) (:async-channel full)))
        (is (= BytesInputStream (type (:body full))))
        (is (= "abc" (slurp (:body full))))
        (.reset ^BytesInputStream (:body full))
        (is (= "abc" (String. (.bytes ^BytesInputStream (:body full)))))))))

(deftest targets
  (are [uri query target] (= [uri query] ((juxt :uri :query-string) (request-map (raw/request "GET" target))))
    "/" nil "/"
    "/x" "" "/x?"
    "/%41+b" "c%20d" "/%41+b?c%20d"
    "http://foo.com/bar" "z" "http://foo.com/bar?z")
  (is (= "*" (:uri (request-map (raw/request "OPTIONS" "*")))))
  (is (= "example.org:443" (:uri (request-map (raw/request "CONNECT" "example.org:443"))))))

(deftest every-method
  (doseq [method ["GET" "HEAD" "POST" "PUT" "DELETE" "TRACE" "OPTIONS" "PATCH" "PROPFIND" "PROPPATCH" "LOCK" "UNLOCK"
                  "REPORT" "ACL" "MOVE" "COPY" "MKCOL" "LIST"]]
    (is (= (keyword (.toLowerCase ^String method))
           (:request-method (request-map (raw/request method "/"))))
        method)))

(deftest hosts
  (are [server-name port host] (= [server-name port]
                                  ((juxt :server-name :server-port)
                                   (request-map "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n")))
    "a" 80 "a"
    "a" 80 "a:"
    "a" 0 "a:0"
    "[::1]" 80 "[::1]"
    "[::1]" 8080 "[::1]:8080"
    "127.0.0.1" 65535 "127.0.0.1:65535"))

(deftest headers
  (let [headers (:headers (request-map "GET / HTTP/1.1\r\nHOST: a\r\nX-A:  1 \r\nx-b: \r\nX-a: 2\r\n"
                                       "Cookie: a=1\r\ncookie: b=2\r\nX-High: caf\u00e9\r\n\r\n"))]
    (is (= {"host" "a" "x-a" "1,2" "x-b" "" "cookie" "a=1;b=2" "x-high" "caf\u00e9"} headers)))
  (testing "more than fit an array map"
    (let [names (map #(str "x-" %) (range 100))
          headers (:headers (request-map (raw/request "GET" "/" :headers (zipmap names (range)))))]
      (is (= 101 (count headers)))
      (is (every? true? (for [[name value] (zipmap names (range))] (= (str value) (headers name))))))))

(deftest bodies
  (let [large (apply str (repeat 300000 "x"))]
    (doseq [[dispatch body] (for [dispatch raw/dispatches body ["a" large]] [dispatch body])]
      (testing [dispatch (count body)]
        (let [[sized chunked] (requests {:dispatch dispatch}
                                        (raw/request "POST" "/" :body body)
                                        (str (raw/request "PUT" "/" :headers {"Transfer-Encoding" "chunked"})
                                             "1\r\n" (subs body 0 1) "\r\n"
                                             (when (next body)
                                               (str (Long/toHexString (dec (count body))) "\r\n" (subs body 1) "\r\n"))
                                             "0\r\nX-Trailer: t\r\n\r\n"))]
          (is (= [(count body) (count body)] (map :content-length [sized chunked])))
          (is (= body (slurp (:body sized))))
          (is (= body (slurp (:body chunked))))
          (is (not (contains? (:headers chunked) "x-trailer")))))))
  (testing "no bytes, no body"
    (is (nil? (:body (request-map (raw/request "POST" "/" :body "")))))
    (is (nil? (:body (request-map (raw/request "POST" "/" :headers {"Transfer-Encoding" "chunked"}) "0\r\n\r\n"))))))

(deftest websocket-candidates
  (are [expected upgrade] (= expected
                             (:websocket? (request-map (raw/request "GET" "/" :headers {"Upgrade" upgrade}))))
    true "websocket"
    true "WebSocket"
    true "h2c, websocket"
    false "h2c"
    false "websockets"))

(deftest remote-address
  (let [address (fn [options headers]
                  (:remote-addr (first (requests options (raw/request "GET" "/" :headers headers)))))]
    (is (= "127.0.0.1" (address {} {})))
    (testing "http-kit's default: whoever says so"
      (is (= "9.8.7.6" (address {} {"X-Forwarded-For" "9.8.7.6, 10.0.0.1"}))))
    (testing "the socket's"
      (is (= "127.0.0.1" (address {:legacy-unsafe-remote-addr? false} {"X-Forwarded-For" "9.8.7.6"})))
      (is (= "127.0.0.1" (address {:legacy-unsafe-remote-addr? nil} {"X-Forwarded-For" "9.8.7.6"}))))
    (testing "what a trusted proxy says"
      (is (= "9.8.7.6" (address {:legacy-unsafe-remote-addr? false :trusted-proxies ["127.0.0.0/8"]}
                                {"X-Forwarded-For" "1.1.1.1, 9.8.7.6"})))
      (is (= "127.0.0.1" (address {:legacy-unsafe-remote-addr? false :trusted-proxies ["10.0.0.0/8"]}
                                  {"X-Forwarded-For" "9.8.7.6"}))))
    (testing "what a PROXY line says"
      (is (= "1.2.3.4"
             (:remote-addr (first (requests {:proxy-protocol :enable}
                                            (str "PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n" (raw/request "GET" "/"))))))))))

(defn- ipv6-loopback? []
  (try
    (with-open [socket (java.net.ServerSocket. 0 1 (InetAddress/getByName "::1"))]
      (instance? Inet6Address (.getInetAddress socket)))
    (catch java.io.IOException _ false)))

(deftest ipv6-clients
  (when (ipv6-loopback?)
    (testing "the default address serves them, under Java's uncompressed text"
      (let [seen (promise)]
        (raw/with-server [port (fn [request] (deliver seen (:remote-addr request)) nil) {:ip "0.0.0.0"}]
          (raw/with-connection [connection port :address "::1"]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-response connection))
          (is (= "0:0:0:0:0:0:0:1" (raw/await-value seen))))))))
