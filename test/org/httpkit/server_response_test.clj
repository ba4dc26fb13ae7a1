(ns org.httpkit.server-response-test
  "What handlers may return, and what of it reaches the wire."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [org.httpkit.server :as server])
  (:import (java.io ByteArrayInputStream File InputStream SequenceInputStream)
           (java.nio ByteBuffer)
           (java.util HashMap)))

(use-fixtures :each temporary/cleanup)

(def ^:private large (string/join (repeat 20000 "0123456789")))

(defn- responses
  "Returns the responses to one request per way of dispatch, for a handler that calls `f`. The quiet log is dropped."
  [f & {:keys [method options request]}]
  (for [dispatch raw/dispatches]
    (raw/with-server [port (fn [_] (f)) (merge (raw/quiet) {:dispatch dispatch} options)]
      (apply raw/fetch port (or method "GET") "/" (mapcat identity request)))))

(defmacro ^:private is-answered
  "Tests that both ways of dispatch answer with this, as far as `expected` says."
  [expected f & options]
  `(doseq [response# (responses ~f ~@options)]
     (is (= ~expected (select-keys response# (keys ~expected))))))

(deftest bodies
  (let [text "gr\u00fc\u00df \u20ac"
        file (temporary/file large)
        empty-file (temporary/file "")]
    (are [expected body] (= #{expected} (set (map :body (responses (fn [] {:body body})))))
      "" nil
      "" ""
      text text
      large large
      text (.getBytes text "UTF-8")
      large (.getBytes ^String large)
      large file
      "" empty-file
      "" []
      "" ()
      "a1:b" ["a" 1 :b]
      "012" (map str (range 3))
      "[:a 1]" {:a 1})
    (testing "bodies that are used up are made for each answer"
      (are [expected make] (= #{expected} (set (map :body (responses (fn [] {:body make})))))
        "bcd" (doto (ByteBuffer/wrap (.getBytes "abcde")) (.position 1) (.limit 4))
        large (.asReadOnlyBuffer (ByteBuffer/wrap (.getBytes ^String large)))
        text (.flip (.put (ByteBuffer/allocateDirect 100) (.getBytes text "UTF-8")))
        "" (ByteArrayInputStream. (byte-array 0))
        text (ByteArrayInputStream. (.getBytes text "UTF-8"))
        large (ByteArrayInputStream. (.getBytes ^String large))))
    (testing "text is UTF-8 whatever the type says"
      (is-answered {:body text} (fn [] {:headers {"Content-Type" "text/plain; charset=latin1"} :body text})))))

(deftest lengths
  (doseq [size [0 1 1000 32767 32768 32769 65535 65536 65537 200000]
          :let [bytes (byte-array size (byte 120))]]
    (testing size
      (is-answered {:status 200 :body (String. bytes)} (fn [] {:body bytes}))
      (is-answered {:status 200 :body (String. bytes)} (fn [] {:body (String. bytes)}))
      (is-answered {:status 200 :body (String. bytes)} (fn [] {:body (ByteArrayInputStream. bytes)}))
      (doseq [response (responses (fn [] {:body bytes}))]
        (is (= (str size) ((:headers response) "content-length")))))))

(deftest a-byte-buffer-is-used-up
  (doseq [buffer [(ByteBuffer/wrap (byte-array 5)) (ByteBuffer/allocateDirect 5)]]
    (raw/with-server [port (fn [_] {:body buffer}) {}]
      (is (= 5 (count (:bytes (raw/fetch port "GET" "/")))))
      (is (not (.hasRemaining ^ByteBuffer buffer))))))

(deftest shapes
  (testing "nil"
    (is-answered {:status 404 :body "" :reason "Not Found"} (fn [] nil)))
  (testing "an empty map, any java.util.Map"
    (is-answered {:status 200 :body ""} (fn [] {}))
    (is-answered {:status 201 :body "x"} (fn [] (doto (HashMap.) (.put :status 201) (.put :body "x")))))
  (testing "anything else"
    (doseq [bad ["text" 1 :key [] (Object.)]]
      (is-answered {:status 500 :body "Internal Server Error"} (fn [] bad)))
    (doseq [bad [1 :key 'sym (Object.) (java.util.ArrayList. ["a"]) [nil] ["a" nil]]]
      (is-answered {:status 500 :body "Internal Server Error"} (fn [] {:body bad})))))

(deftest statuses
  (are [expected status] (= #{expected} (set (map :status (responses (fn [] {:status status :body "x"})))))
    200 nil, 201 201, 202 (int 202), 203 (short 203), 299 299N, 404 404, 599 599, 999 999
    500 99, 500 1000, 500 -1, 500 "200", 500 200.5, 500 :ok)
  (is-answered {:status 301 :reason "Moved Permanently"} (fn [] {:status 301})))

(deftest header-lines
  (testing "in order, in http-kit's case, followed by the server's own"
    (doseq [response (responses (fn [] {:headers (array-map "WWW-Authenticate" "a" "etag" 1 "X-List" ["b" "c"] "X-Nil" nil)
                                        :body "xyz"}))]
      (is (= [["Www-Authenticate" "a"] ["Etag" "1"] ["X-List" "b"] ["X-List" "c"] ["content-length" "3"]
              ["Server" "http-kit"]]
             (butlast (:lines response))))
      (is (re-matches #"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT" ((:headers response) "date")))))
  (testing "no type of the server's own"
    (doseq [response (responses (fn [] {:body "x"}))]
      (is (nil? ((:headers response) "content-type")))))
  (testing "Server and Date are the handler's if it sets them"
    (doseq [response (responses (fn [] {:headers {"Server" "mine" "date" "today"}}))]
      (is (= #{["Server" "mine"] ["Date" "today"] ["content-length" "0"]} (set (:lines response))))))
  (testing "or leaves them out, in constant maps too"
    (doseq [headers [{"Server" nil "date" []} {"SERVER" () "Date" nil}]
            response (responses (fn [] {:headers headers}))]
      (is (= [["content-length" "0"]] (:lines response)))))
  (testing "the Server header is an option"
    (are [expected options] (every? #(= expected ((:headers %) "server")) (responses (fn [] {}) :options options))
      "mine" {:server-header "mine"}
      "" {:server-header ""}
      nil {:server-header nil}))
  (testing "more headers than fit the first buffers"
    (let [headers (into {} (for [i (range 1000)] [(str "X-" i) (string/join (repeat 50 (str i)))]))]
      (doseq [response (responses (fn [] {:headers headers :body "x"}))]
        (is (= 1003 (count (:lines response))))
        (is (= "x" (:body response)))
        (is (= (headers "X-999") ((:headers response) "x-999")))))))

(deftest injection
  (doseq [headers [{"X" "a\r\nInjected: 1"} {"X" "a\nInjected: 1"} {"X" "a\u0000"} {"X" "a\u007f"} {"X" ["ok" "a\r\nb"]}
                   {"X\r\nInjected" "1"} {"X:" "1"} {"" "1"} {"X Y" "1"} {:x "1"} {'x "1"} {nil "1"} {"X" [nil]}
                   {"Content-Type" "text/html\r\n\r\n<h1>"} "X: 1" [["X" "1"]]]]
    (testing (pr-str headers)
      (doseq [response (responses (fn [] {:status 201 :headers (if (map? headers) (assoc headers "Keep" "1") headers)
                                          :body "secret"}))]
        (is (= [500 "Internal Server Error"] ((juxt :status :body) response)))
        (is (= #{"content-type" "content-length" "server" "date"} (set (keys (:headers response)))))))))

(deftest framing-is-the-servers
  (doseq [headers [{"Content-Length" "999"} {"content-length" 1} {"CONTENT-LENGTH" ["1" "2"]}
                   {"Transfer-Encoding" "chunked"} {"transfer-encoding" "gzip" "Content-Length" "0"}]]
    (doseq [response (responses (fn [] {:headers headers :body "hello"}))]
      (is (= "hello" (:body response)))
      (is (= [["content-length" "5"]]
             (filter #(re-find #"(?i)length|encoding" (first %)) (:lines response)))))))

(deftest answers-without-body
  (doseq [status [204 304 205]
          body ["hello" (File. "no/such/file") [nil]]]
    (testing [status body]
      (doseq [response (responses (fn [] {:status status :body body}))]
        (is (= [status ""] ((juxt :status :body) response)))
        (is (= (when (= 205 status) "0") ((:headers response) "content-length"))))))
  (testing "a 304 keeps the length it would have had, the first if there are two"
    (doseq [headers [{"Content-Length" "7"} (array-map "Content-Length" "7" "content-length" 5)]
            response (responses (fn [] {:status 304 :headers headers}))]
      (is (= "7" ((:headers response) "content-length")))))
  (testing "their connection stays in step"
    (raw/with-servers [port (fn [_] {:status 304 :headers {"Content-Length" "7"} :body "x"}) {}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/") (raw/request "GET" "/"))
        (is (= [304 304] (map :status (repeatedly 2 #(raw/read-response connection)))))))))

(defn- closing-stream
  "Returns a stream that counts how often it is read and closed."
  [reads closes]
  (proxy [InputStream] []
    (read
      ([] (swap! reads inc) -1)
      ([_bytes] (swap! reads inc) -1)
      ([_bytes _offset _length] (swap! reads inc) -1))
    (close [] (swap! closes inc))))

(deftest proxied-streams
  (testing "may have no other method to read than the one http-kit calls"
    (doseq [length [0 5 300000]]
      (let [content (apply str (repeat length "p"))
            stream #(let [source (ByteArrayInputStream. (.getBytes ^String content))]
                      (proxy [InputStream] []
                        (read [bytes] (.read source bytes 0 (min 7000 (alength ^bytes bytes))))))]
        (doseq [response (responses (fn [] {:body (stream)}))]
          (is (= content (:body response))))
        (raw/with-server [port #(server/as-channel % {:on-open (fn [ch]
                                                                 (server/send! ch (stream) false)
                                                                 (server/close ch))}) {}]
          (is (= content (:body (raw/fetch port "GET" "/")))))))))

(deftest streams-that-claim-more-than-was-asked-for
  (testing "send nothing of what others were sent from the same memory"
    (doseq [surplus [1 200000]]
      (let [claims (fn []
                     (let [left (atom 1)]
                       (SequenceInputStream.
                        (proxy [InputStream] []
                          (read [_ _ length] (if (neg? (long (swap! left dec))) -1 (+ (long length) (long surplus)))))
                        (ByteArrayInputStream. (byte-array 0)))))]
        (raw/with-server [port (fn [{:keys [uri]}]
                                 {:body (if (= "/secret" uri)
                                          (ByteArrayInputStream. (.getBytes ^String (string/join (repeat 50000 "SECRET"))))
                                          (claims))})
                          (raw/quiet)]
          (dotimes [_ 20] (raw/fetch port "GET" "/secret"))
          (is (= [500 "Internal Server Error"] ((juxt :status :body) (raw/fetch port "GET" "/")))))))))

(deftest streams-are-closed
  (doseq [[expected-reads status headers] [[1 200 {}] [0 204 {}] [0 304 {}] [0 200 {"Bad Name" "x"}] [0 1000 {}]]]
    (testing [status headers]
      (let [reads (atom 0)
            closes (atom 0)]
        (doall (responses (fn [] {:status status :headers headers :body (closing-stream reads closes)})))
        (is (= (* (count raw/dispatches) expected-reads) @reads))
        (is (<= (count raw/dispatches) @closes))))))

(deftest head
  (let [file (temporary/file "hello")]
    (doseq [[expected response] {"5" {:body "hello"}
                                 "10" {:body "gr\u00fc\u00df \u20ac"}
                                 "0" {}
                                 "6" {:body (.getBytes "hello!")}
                                 "4" {:body ["ab" "cd"]}
                                 "200000" {:body large :headers {"Content-Length" "3"}}}]
      (doseq [answer (responses (fn [] response) :method "HEAD" :request {:head? true})]
        (is (= [expected ""] [((:headers answer) "content-length") (:body answer)]))))
    (doseq [body [file (ByteArrayInputStream. (.getBytes "hello")) (ByteBuffer/wrap (.getBytes "hello"))]]
      (raw/with-server [port (fn [_] {:body body}) {}]
        (is (= "5" ((:headers (raw/fetch port "HEAD" "/")) "content-length")))))
    (testing "a missing file is missing for HEAD as well"
      (is-answered {:status 500} (fn [] {:body (File. "no/such/file")}) :method "HEAD"))
    (testing "the handler's own length"
      (are [expected legacy headers] (every? #(= expected ((:headers %) "content-length"))
                                             (responses (fn [] {:headers headers :body "hello"})
                                                        :method "HEAD"
                                                        :options {:legacy-content-length? legacy}))
        "5" true {"Content-Length" "99"}
        "99" false {"Content-Length" "99"}
        "99" false {"content-length" 99}
        "99" nil {"Content-Length" "99"}
        "5" false {}))
    (testing "the next answer on the connection is not mistaken for a body"
      (raw/with-servers [port (fn [request] {:body (if (= :head (:request-method request)) large "next")}) {}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "HEAD" "/") (raw/request "GET" "/"))
          (is (= 200 (:status (raw/read-response connection :head? true))))
          (is (= "next" (:body (raw/read-response connection)))))))))

(defn- named-pipe ^File []
  (let [file (File. (temporary/directory) "pipe")]
    (.waitFor (.start (ProcessBuilder. ^java.util.List ["mkfifo" (str file)])))
    file))

(def ^:private unreadable
  "A regular file that not even root can read."
  (File. "/proc/sys/vm/compact_memory"))

(deftest files
  (testing "what cannot be sent is the same 500 for HEAD"
    (doseq [file (cond-> [(File. "no/such/file") (temporary/directory) (named-pipe)]
                   (.isFile unreadable) (conj unreadable))]
      (let [log (atom [])]
        (raw/with-servers [port (fn [_] {:body file}) (raw/quiet log)]
          (is (= [500 500] (for [method ["GET" "HEAD"]] (:status (raw/fetch port method "/"))))))
        (is (= 1 (count (set (map #(let [e (second %)] [(class e) (ex-message e)]) @log)))) @log))))
  (testing "what is no file is a 500 that is logged like any other"
    (doseq [file [(File. "no/such/file") (temporary/directory)]]
      (let [log (atom [])]
        (raw/with-servers [port (fn [_] {:body file}) (raw/quiet log)]
          (is (= [500 "Internal Server Error"] ((juxt :status :body) (raw/fetch port "GET" "/f")))))
        (is (= {"GET /f" (count raw/dispatches)} (frequencies (map first @log))))
        (is (every? #(instance? java.io.IOException (second %)) @log))))))
