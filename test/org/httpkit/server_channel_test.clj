(ns org.httpkit.server-channel-test
  "Channels of plain HTTP exchanges: answers given later or in pieces."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.hidden :as hidden]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.io ByteArrayInputStream)
           (java.util.concurrent CountDownLatch LinkedBlockingQueue TimeUnit)
           (org.httpkit.server AsyncChannel)))

(defn- exchange
  "Sends one request to a server whose handler passes its channel to `f` and leaves the answer to it; returns the text of
  all that comes back. `options` are those of `raw/request`."
  [f & {:keys [method] :as options}]
  (raw/with-server [port (fn [request] (f (:async-channel request)) {:body (:async-channel request)}) (raw/quiet)]
    (raw/with-connection [connection port]
      (raw/write connection (apply raw/request (or method "GET") "/"
                                   (mapcat identity (update options :headers merge {"Connection" "close"}))))
      (raw/read-rest connection))))

(defn- head-and-body [text]
  (let [[head body] (string/split text #"\r\n\r\n" 2)]
    [(remove #(re-find #"^(Server|Date):" %) (string/split-lines head)) body]))

(def ^:private html "Content-Type: text/html; charset=utf-8")

(deftest first-send
  (testing "whole"
    (are [lines body data]
         (= [(concat ["HTTP/1.1 200 OK"] lines) body]
            (head-and-body (exchange #(is (true? (server/send! % data))))))
      [html "Connection: Close" "content-length: 2"] "hi" "hi"
      [html "Connection: Close" "content-length: 2"] "hi" {:body "hi"}
      [html "Connection: Close" "content-length: 0"] "" nil
      [html "Connection: Close" "content-length: 0"] "" {:headers {}}
      ["X: 1" "Connection: Close" "content-length: 2"] "hi" {:headers {"X" 1} :body (.getBytes "hi")}
      ["Connection: Close" "content-length: 2"] "hi" {:headers {"Content-Type" nil} :body "hi"}
      [html "Connection: Close" "content-length: 2"] "hi" (ByteArrayInputStream. (.getBytes "hi"))
      [html "Connection: Close" "content-length: 2"] "hi" ["h" \i]))
  (testing "in chunks"
    (are [body data]
         (= [["HTTP/1.1 200 OK" html "Connection: Close" "Transfer-Encoding: chunked"] body]
            (head-and-body (exchange #(do (is (true? (server/send! % data false)))
                                          (is (true? (server/close %)))))))
      "2\r\nhi\r\n0\r\n\r\n" "hi"
      "0\r\n\r\n" nil
      "0\r\n\r\n" ""
      "0\r\n\r\n" (byte-array 0)
      "0\r\n\r\n" []))
  (testing "with any header there is no type of the server's own"
    (doseq [headers [{"Content-Length" "5"} {"Content-Type" nil} {"X" []} {"Transfer-Encoding" "chunked"}]]
      (is (= [["HTTP/1.1 200 OK" "Connection: Close" "Transfer-Encoding: chunked"] "2\r\nhi\r\n0\r\n\r\n"]
             (head-and-body (exchange #(do (server/send! % {:headers headers :body "hi"} false)
                                           (server/close %))))))))
  (testing "HTTP/1.0: until the connection closes"
    (is (= "hiho" (second (head-and-body (exchange #(do (server/send! % "hi" false) (server/send! % "ho" true))
                                                   :version "1.0")))))))

(deftest answers-that-cannot-stream
  (doseq [[method status] [["HEAD" 200] ["GET" 204] ["GET" 304] ["GET" 205]]]
    (let [results (promise)
          [[status-line] body] (head-and-body (exchange (fn [ch]
                                                          (deliver results [(server/send! ch {:status status :body "x"} false)
                                                                            (server/open? ch)
                                                                            (server/send! ch "y")]))
                                                        :method method))]
      (is (string/includes? status-line (str status)))
      (is (= "" body))
      (is (= [true false false] (raw/await-value results))))))

(deftest later-sends
  (is (= "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n4\r\nfour\r\n0\r\n\r\n"
         (second (head-and-body
                  (exchange (fn [ch]
                              (is (= [true true true true true true true false false]
                                     [(server/send! ch "one" false)
                                      (server/send! ch {:status 500 :headers {"Late" "1"} :body "two"} false)
                                      (server/send! ch nil false)
                                      (server/send! ch "" false)
                                      (server/send! ch {:body nil} nil)
                                      (server/send! ch (ByteArrayInputStream. (.getBytes "three")) false)
                                      (server/send! ch "four" true)
                                      (server/send! ch "five")
                                      (server/close ch)])))))))))

(deftest bad-data
  (testing "throws to the caller and leaves the channel as it was"
    (doseq [bad [{:status 99} {:headers {"A" "b\r\n"}} {:headers {:a "b"}} {:body :no} 5 {:body [nil]}
                 {:body (java.io.File. "no/such/file")}]
            close? [true false]]
      (is (= "fine" (second (head-and-body
                             (exchange (fn [ch]
                                         (is (thrown? Exception (server/send! ch bad close?)))
                                         (is (server/open? ch))
                                         (is (true? (server/send! ch "fine"))))))))
          (pr-str bad)))))

(deftest a-missing-file
  (testing "is the same exception wherever it is to be sent"
    (let [missing (java.io.File. "no/such/file")
          outcome (fn [ch data close?]
                    (try
                      (server/send! ch data close?)
                      (catch Exception e [(class e) (ex-message e)])))
          outcomes (atom [])]
      (exchange (fn [ch]
                  (swap! outcomes conj (outcome ch missing true) (outcome ch missing false))
                  (server/send! ch "x" false)
                  (swap! outcomes conj (outcome ch missing false) (outcome ch {:body missing} true))
                  (server/close ch)))
      (is (= [java.io.FileNotFoundException "no/such/file (No such file or directory)"] (first @outcomes)))
      (is (apply = @outcomes)))))

(deftest close-before-anything-was-sent
  (is (= "" (exchange #(is (= [true false] [(server/close %) (server/close %)]))))))

(deftest on-close
  (testing "ended by the server: within the call, once"
    (doseq [end [#(server/send! % "x") #(server/close %) #(do (server/send! % "x" false) (server/send! % "y" true))]]
      (let [statuses (atom [])
            seen (promise)]
        (exchange (fn [ch]
                    (server/on-close ch #(do (swap! statuses conj %) (is (not (server/open? ch)))))
                    (end ch)
                    (let [so-far @statuses]
                      (server/close ch)
                      (deliver seen [so-far @statuses]))))
        ;; The client has its answer before the handler returns.
        (is (= [[:server-close] [:server-close]] (raw/await-value seen))))))
  (testing "set too late: at once"
    (let [status (promise)]
      (exchange (fn [ch] (server/send! ch "x") (server/on-close ch #(deliver status %))))
      (is (= :server-close (raw/await-value status)))))
  (testing "twice: refused"
    (exchange (fn [ch]
                (server/on-close ch identity)
                (is (thrown-with-msg? IllegalStateException #"^close handler exist: " (server/on-close ch identity)))
                (is (thrown-with-msg? IllegalStateException #"^receive handler exist: "
                                      (do (server/on-receive ch identity) (server/on-receive ch identity))))
                (is (thrown-with-msg? IllegalStateException #"^ping handler exist: "
                                      (do (server/on-ping ch identity) (server/on-ping ch identity))))
                (server/close ch))))
  (testing "an exception reaches the caller of the call that ended the channel"
    (exchange (fn [ch]
                (server/on-close ch (fn [_] (throw (ex-info "mine" {}))))
                (is (thrown-with-msg? Exception #"mine" (server/send! ch "x")))))))

(deftest clients-that-leave
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [closed (promise)
            channel (promise)]
        (raw/with-server [port (fn [request]
                                 (server/as-channel request
                                                    {:on-open (fn [ch]
                                                                (server/send! ch "x" false)
                                                                (deliver channel ch))
                                                     :on-close (fn [ch status] (deliver closed [ch status]))}))
                          {:dispatch dispatch}]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-head connection)
            (is (server/open? (raw/await-value channel))))
          (is (= [@channel :client-close] (raw/await-value closed)))
          (is (= [false false] [(server/open? @channel) (server/send! @channel "x")]))))))
  (testing "before on-close was set"
    (let [entered (CountDownLatch. 1)
          gone (CountDownLatch. 1)
          closed (promise)
          log (atom [])]
      (raw/with-server [port (fn [request]
                               (.countDown entered)
                               (raw/await-latch gone)
                               (raw/await-client-gone request)
                               (server/on-close (:async-channel request) #(deliver closed %))
                               {:body (:async-channel request)})
                        (raw/quiet log)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/await-latch entered)
          (.setSoLinger ^java.net.Socket (:socket connection) true 0))
        (.countDown gone)
        (is (= :client-close (raw/await-value closed))))))
  (testing "while an answer is refused"
    (let [channel (promise)
          closed (promise)]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (deliver channel ch))
                                                    :on-close (fn [_ status] (deliver closed status))}) {}]
        (let [connection (raw/connect port)
              _ (raw/write connection (raw/request "GET" "/"))
              ch (raw/await-value channel)
              answered (int (hidden/value ch "CLOSED"))
              unheard #(count (hidden/value ch "application" "listeners"))]
          (is (raw/await-true #(= 1 (unheard))))
          (is (hidden/call ch "claim" answered))
          (raw/disconnect connection)
          (is (raw/await-true #(zero? (long (unheard)))))
          (hidden/call ch "unclaim" answered)
          (is (= :client-close (raw/await-value closed)))))))
  (testing "a callback that throws is logged"
    (let [logged (promise)]
      (raw/with-server [port (fn [request] (server/as-channel request {:on-open #(server/send! % "x" false)
                                                           :on-close (fn [_ _] (throw (Exception. "mine")))}))
                        {:error-logger (fn [message exception] (deliver logged [message (ex-message exception)]))}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (raw/read-head connection))
        (is (= ["on close handler" "mine"] (raw/await-value logged)))))))

(deftest a-large-stream-through-a-channel
  (testing "outlives the channel it was sent through"
    (let [total (* 16 1024 1024)
          closed (promise)]
      (raw/with-server [port (fn [request]
                               (server/as-channel request
                                                  {:on-open #(server/send! % (ByteArrayInputStream. (byte-array total)))
                                                   :on-close (fn [_ status] (deliver closed status))}))
                        {}]
        (raw/with-connection [connection port :receive-buffer 8192]
          (raw/write connection (raw/request "GET" "/"))
          (is (= :server-close (raw/await-value closed)))
          (is (= total (alength ^bytes (:bytes (raw/read-response connection))))))))))

(deftest on-close-of-an-ordinary-answer
  (testing "is dropped with the exchange"
    (let [closed (promise)]
      (raw/with-server [port (fn [request]
                               (server/on-close (:async-channel request) #(deliver closed %))
                               {:body "x"})
                        {}]
        (is (= "x" (:body (raw/fetch port "GET" "/")))))
      (is (not (realized? closed))))))

(deftest on-close-set-after-the-answer
  (testing "is called at once, as the channel is closed"
    (doseq [[status answer] {202 (fn [] {:status 202})
                             404 (fn [])
                             500 (fn [] (throw (ex-info "oh no" {})))}]
      (testing status
        (let [channels (LinkedBlockingQueue.)
              heard (atom [])]
          (raw/with-servers [port (fn [request]
                                    (.put channels (:async-channel request))
                                    (answer))
                             (raw/quiet)]
            (is (= status (:status (raw/fetch port "GET" "/"))))
            (let [ch ^AsyncChannel (.take channels)]
              (is (not (server/open? ch)))
              (server/on-close ch #(swap! heard conj %))
              (.setCloseRingHandler ch (fn [_ reason] (swap! heard conj reason)))
              (is (= [:server-close ""] @heard))
              (is (thrown? IllegalStateException (server/on-close ch identity)))
              (reset! heard []))))))))

(deftest on-close-of-a-handler-that-throws
  (doseq [ring-async? [false true]]
    (let [heard (LinkedBlockingQueue.)
          handler (fn [request & _]
                    (server/as-channel request {:on-close (fn [_ status] (.put heard status))
                                                :on-open (fn [_] (throw (ex-info "oh no" {})))}))]
      (raw/with-servers [port handler (assoc (raw/quiet) :ring-async? ring-async?)]
        (is (= 500 (:status (raw/fetch port "GET" "/"))))
        (is (= :server-close (.poll heard raw/patience-millis TimeUnit/MILLISECONDS)))
        (is (.isEmpty heard))))))

(deftest many-senders
  (testing "one head, and every piece whole"
    (let [pieces (for [sender (range 8) number (range 50)] (str "<" sender "-" number ">"))
          body (promise)]
      (raw/with-server [port (fn [request]
                               (let [ch (:async-channel request)
                                     start (CountDownLatch. 1)
                                     senders (doall (for [part (partition 50 pieces)]
                                                      (future (raw/await-latch start)
                                                              (doseq [piece part] (server/send! ch piece false)))))]
                                 (future (run! deref senders) (server/close ch))
                                 (.countDown start)
                                 {:body ch}))
                        {}]
        (deliver body (:body (raw/fetch port "GET" "/"))))
      (is (= (sort pieces) (sort (re-seq #"<[^>]+>" @body))))
      (is (= (count (string/join pieces)) (count @body))))))

(deftest another-requests-channel
  (testing "may be returned: this request waits for its own answer, given through its own channel"
    (let [waiting (promise)]
      (raw/with-server [port (fn [request]
                               (if (= "/wait" (:uri request))
                                 (do (deliver waiting (:async-channel request)) {:body (:async-channel request)})
                                 (do (server/send! (:async-channel request) "own")
                                     (server/send! @waiting "from the other")
                                     {:body @waiting :status 500 :headers {"Ignored" "1"}})))
                        {}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/wait"))
          (raw/await-value waiting)
          (is (= "own" (:body (raw/fetch port "GET" "/other"))))
          (is (= "from the other" (:body (raw/read-response connection)))))))))

(deftest identity-of-channels
  (let [channels (atom [])]
    (raw/with-server [port (fn [request] (swap! channels conj (:async-channel request)) {:body (str (:async-channel request))}) {}]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/") (raw/request "GET" "/"))
        (let [texts (repeatedly 2 #(:body (raw/read-response connection)))]
          (is (apply = texts))
          (is (re-matches (re-pattern (str "/127\\.0\\.0\\.1:" port "<->/127\\.0\\.0\\.1:\\d+")) (first texts))))))
    (is (= 2 (count (set @channels))))
    (is (every? #(false? (server/websocket? %)) @channels))
    (is (every? string? (map str @channels)))))

(deftest a-channel-of-somebody-elses
  (testing "the protocol is open, and as-channel asks nothing else"
    (let [calls (atom [])
          channel (reify server/Channel
                    (open? [_] true)
                    (websocket? [_] false)
                    (send! [_ data] (swap! calls conj data))
                    (on-close [_ callback] (callback :going-away)))]
      (is (= {:body channel}
             (server/as-channel {:async-channel channel}
                                {:init #(swap! calls conj [:init (server/open? %)])
                                 :on-open #(server/send! % "opened")
                                 :on-close (fn [_ status] (swap! calls conj status))
                                 :on-receive nil})))
      (is (= [[:init true] :going-away "opened"] @calls))))
  (is (nil? (server/as-channel {} {:on-open identity}))))

(deftest with-channel
  (raw/with-servers [port (fn [request] (server/with-channel request ch (server/send! ch "x"))) {}]
    (is (= "x" (:body (raw/fetch port "GET" "/"))))))

(deftest handshake-check
  (is (= "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" (server/sec-websocket-accept "dGhlIHNhbXBsZSBub25jZQ==")
         #_{:clj-kondo/ignore [:deprecated-var]} (server/accept "dGhlIHNhbXBsZSBub25jZQ==")))
  (is (= (server/sec-websocket-accept "") (server/sec-websocket-accept nil)))
  (let [request {:request-method :get
                 :protocol "HTTP/1.1"
                 :headers {"upgrade" "WebSocket" "connection" "keep-alive, Upgrade" "sec-websocket-version" "13"
                           "sec-websocket-key" "dGhlIHNhbXBsZSBub25jZQ=="}}]
    (is (= "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" (server/websocket-handshake-check request)))
    (are [path value] (nil? (server/websocket-handshake-check (assoc-in request path value)))
      [:request-method] :post
      [:protocol] "HTTP/1.0"
      [:protocol] nil
      [:headers "upgrade"] nil
      [:headers "upgrade"] "websockets"
      [:headers "connection"] "close"
      [:headers "sec-websocket-version"] "8"
      [:headers "sec-websocket-key"] nil
      [:headers "sec-websocket-key"] "dGhlIHNhbXBsZSBub25jZQ"
      [:headers "sec-websocket-key"] "dGhlIHNhbXBsZSBub25jZR=="
      [:headers "sec-websocket-key"] "c2hvcnQ=")))

(deftest a-client-that-leaves-a-long-poll
  (doseq [dispatch raw/dispatches
          leave [raw/half-close raw/disconnect]]
    (testing [dispatch leave]
      (let [closed (promise)
            opened (promise)]
        (raw/with-server [port (fn [request]
                                 (server/as-channel request {:on-open #(deliver opened %)
                                                             :on-close (fn [_ status] (deliver closed status))}))
                          {:dispatch dispatch}]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (raw/await-value opened)
            (leave connection)
            (is (= :client-close (raw/await-value closed)))))))
    (testing "whether anybody asked to hear of it or not"
      (let [opened (promise)]
        (raw/with-server [port #(server/as-channel % {:on-open (partial deliver opened)}) {:dispatch dispatch}]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (let [channel (raw/await-value opened)]
              (leave connection)
              (is (raw/await-true #(not (server/open? channel))))
              (is (false? (server/send! channel "late"))))))))))

(deftest a-stream-for-an-old-client
  (raw/with-server [port (fn [request] (server/as-channel request {:on-open (fn [ch]
                                                                            (server/send! ch "a" false)
                                                                            (server/send! ch "b" true))})) {}]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "GET" "/" :version "1.0" :headers {"Connection" "keep-alive"}))
      (let [{:keys [headers body]} (raw/read-response connection)]
        (is (= "Close" (headers "connection")))
        (is (nil? (headers "content-length")))
        (is (= "ab" body))))))
