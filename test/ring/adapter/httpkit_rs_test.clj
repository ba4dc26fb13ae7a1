(ns ring.adapter.httpkit-rs-test
  "Requests and responses of the Ring adapter: what Ring's SPEC says where http-kit does otherwise."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [ring.adapter.running :as running])
  (:import (java.io File InputStream)
           (org.httpkit.server AsyncChannel)))

(defn- request-map
  "Returns the request map a handler gets for the raw request."
  [options & text]
  (let [seen (promise)]
    (running/with-server [server (fn [request] (deliver seen request) {:status 200}) options]
      (raw/with-connection [connection (.getPort server)]
        (raw/write connection (apply str text))
        (raw/read-response connection)
        (assoc (raw/await-value seen) ::port (.getPort server))))))

(deftest request-maps
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (testing "a request without a body has neither its length nor an encoding"
        (let [request (request-map {:dispatch dispatch} (raw/request "GET" "/a?b=c"))]
          (is (= {:request-method :get :uri "/a" :query-string "b=c" :scheme :http :protocol "HTTP/1.1"
                  :server-name "localhost" :server-port 80 :remote-addr "127.0.0.1" :headers {"host" "localhost"}
                  :content-type nil :content-length nil :character-encoding nil :body nil}
                 (dissoc request ::port :async-channel :websocket? :start-time)))
          (is (instance? AsyncChannel (:async-channel request)))))
      (testing "one with a body"
        (let [request (request-map {:dispatch dispatch}
                                   (raw/request "POST" "/" :headers {"Content-Type" "text/plain; charset=latin1"} :body "abc"))]
          (is (= ["text/plain; charset=latin1" 3 "latin1"]
                 ((juxt :content-type :content-length :character-encoding) request)))
          (is (instance? InputStream (:body request)))
          (is (= "abc" (slurp (:body request))))
          (is (= [Integer Integer] (map class ((juxt :server-port :content-length) request))))))
      (testing "one of nothing that has a type has a stream: Ring's multipart middleware reads without asking"
        (let [request (request-map {:dispatch dispatch} (raw/request "POST" "/" :headers {"Content-Type" "multipart/form-data"}))]
          (is (= ["" nil] [(slurp (:body request)) (:content-length request)]))))
      (testing "the length is that of the header: declared or not"
        (are [length headers body] (= length (:content-length (request-map {} "POST / HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body)))
          0 "Content-Length: 0\r\n" ""
          nil "Transfer-Encoding: chunked\r\n" "3\r\nabc\r\n0\r\n\r\n"
          nil "Transfer-Encoding: chunked\r\n" "0\r\n\r\n")))))

(deftest targets
  (testing "the path alone, also of a whole URI"
    (are [uri query target] (= [uri query] ((juxt :uri :query-string) (request-map {} (raw/request "GET" target))))
      "/%41//b/" nil "/%41//b/"
      "/a://b" nil "/a://b"
      "/x/y" "z" "http://localhost/x/y?z"
      "/" nil "http://localhost"
      "/" "z" "http://localhost?z"))
  (is (= "*" (:uri (request-map {} (raw/request "OPTIONS" "*"))))))

(deftest server-names
  (testing "without a Host header: the address and port the request came to"
    (let [request (request-map {} "GET / HTTP/1.0\r\n\r\n")]
      (is (= ["127.0.0.1" (::port request)] ((juxt :server-name :server-port) request))))))

(deftest client-addresses
  (let [forwarded (raw/request "GET" "/" :headers {"X-Forwarded-For" "1.2.3.4"})]
    (testing "nobody's word is taken for one"
      (is (= "127.0.0.1" (:remote-addr (request-map {} forwarded)))))
    (testing "but a trusted proxy's"
      (is (= "1.2.3.4" (:remote-addr (request-map {:trusted-proxies ["127.0.0.1/32"]} forwarded)))))))

(deftest repeated-headers
  (is (= {"host" "a" "x" "1,2" "cookie" "a=1;b=2"}
         (:headers (request-map {} "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")))))

(defn- answer
  "Returns the response to a request whose handler returns `response`."
  [response & {:keys [method options]}]
  (running/with-server [server (constantly response) (merge (raw/quiet) options)]
    (running/fetch server (or method "GET") "/")))

(deftest headers-of-answers
  (testing "no type is made up, and vectors are lines"
    (is (= [["Date" nil] ["Server" "httpkit-rs"] ["X" "1"] ["X" "2"] ["content-length" "1"]]
           (sort (map (fn [[name value]] [name (when-not (= name "Date") value)])
                      (:lines (answer {:status 200 :headers {"X" ["1" "2"]} :body "x"})))))))
  (testing "an answer to HEAD keeps the length middleware has left it"
    (is (= "1234" (get-in (answer {:status 200 :headers {"Content-Length" "1234"} :body nil} :method "HEAD")
                          [:headers "content-length"])))))

(deftest no-response
  (let [log (atom [])]
    (is (= 500 (:status (answer nil :options (raw/quiet log)))))
    (is (= [["GET /" "Response map is nil"]] (map (juxt first (comp ex-message second)) @log)))))

(deftest texts
  (testing "are encoded as their Content-Type says"
    (are [expected type] (= expected (seq (:bytes (answer {:status 200 :headers {"Content-Type" type} :body "\u00e4"}))))
      [-61 -92] "text/plain"
      [-61 -92] "text/plain; charset=utf-8"
      [-61 -92] "text/plain; charset=UTF-8; x=y"
      [-61 -92] "text/plain; x=y"
      [-28] "text/plain; charset=iso-8859-1"
      [-28] "text/plain;charset=\"ISO-8859-1\""
      [-28 0] "text/plain; charset=UTF-16LE"))
  (testing "an encoding nobody knows"
    (is (= 500 (:status (answer {:status 200 :headers {"content-type" "text/plain; charset=none"} :body "x"})))))
  (testing "a long one, and one for HEAD"
    (let [response {:status 200 :headers {"Content-Type" "text/plain; charset=iso-8859-1"}
                    :body (string/join (repeat 100000 "\u00e4"))}]
      (is (= 100000 (count (:bytes (answer response)))))
      (is (= "100000" (get-in (answer response :method "HEAD") [:headers "content-length"]))))))

(deftest other-bodies
  (let [file (doto (File/createTempFile "httpkit-rs" ".txt") (.deleteOnExit) (spit "file"))]
    (are [expected body] (= expected (:body (answer {:status 200 :headers {} :body body})))
      "" nil
      "bytes" (.getBytes "bytes")
      "stream" (java.io.ByteArrayInputStream. (.getBytes "stream"))
      "file" file
      "a1:b" (list "a" 1 :b)
      "ab" ["a" "b"])))
