(ns org.httpkit.server-error-test
  "Handlers that fail, pools that are full, and what loggers hear of it."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.printed :refer [printed]]
            [httpkit-rs.raw :as raw])
  (:import (java.util.concurrent CountDownLatch LinkedBlockingQueue TimeUnit)
           (org.httpkit.logger EventNames)
           (org.httpkit.server AsyncChannel)))

(def ^:private rounds
  "How often `raw/with-servers` runs its body."
  (count raw/dispatches))

(defn- overflow [] (inc (overflow)))

(def ^:private failures
  [(fn [] (throw (ex-info "secret" {})))
   (fn [] (throw (AssertionError. "secret")))
   (fn [] (throw (Exception.)))
   overflow
   (fn [] (throw (InterruptedException. "secret")))])

(deftest throwing-handlers
  (doseq [fail failures]
    (let [log (atom [])
          events (atom [])]
      (raw/with-servers [port (fn [request] (if (= "/fail" (:uri request)) (fail) {:body "fine"}))
                         (assoc (raw/quiet log) :event-logger #(swap! events conj %))]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "POST" "/fail?query"))
          (let [response (raw/read-response connection)]
            (is (= [500 "Internal Server Error" "text/plain; charset=utf-8"]
                   [(:status response) (:body response) ((:headers response) "content-type")])))
          (testing "the connection and the server live on"
            (raw/write connection (raw/request "GET" "/"))
            (is (= "fine" (:body (raw/read-response connection))))))
        (is (= "fine" (:body (raw/fetch port "GET" "/")))))
      (is (= {"POST /fail" rounds} (frequencies (map first @log))))
      (is (every? #(instance? Throwable (second %)) @log))
      ;; An event comes after its answer.
      (is (raw/await-true #(= (* 3 (long rounds)) (count @events))))
      (is (= {"httpkit.server.status.500" rounds "httpkit.server.status.processed.200" (* 2 rounds)}
             (frequencies @events))))))

(deftest exposed-errors
  (raw/with-servers [port (fn [request] (throw (if (= "/" (:uri request)) (ex-info "gr\u00fc\u00df" {}) (Exception.))))
                     (assoc (raw/quiet) :expose-errors? true)]
    (is (= [500 "gr\u00fc\u00df"] ((juxt :status :body) (raw/fetch port "GET" "/"))))
    (is (= [500 ""] ((juxt :status :body) (raw/fetch port "GET" "/no-message"))))
    (is (= "" (:body (raw/fetch port "HEAD" "/"))))))

(deftest an-exception-whose-message-fails
  (doseq [handler [(fn [_] (throw (proxy [RuntimeException] [] (getMessage [] (throw (Exception. "evil"))))))]
          async? [false true]
          dispatch raw/dispatches]
    (testing [async? dispatch]
      (raw/with-server [port (if async? (fn [request _ _] (handler request)) handler)
                        (assoc (raw/quiet) :expose-errors? true :ring-async? async? :dispatch dispatch)]
        (is (= 500 (:status (raw/fetch port "GET" "/"))))))))

(deftest a-failure-after-the-channel-was-used
  (testing "adds nothing to what was sent"
    (raw/with-servers [port (fn [request]
                              (.send ^AsyncChannel (:async-channel request) "sent" (= "/whole" (:uri request)))
                              (throw (ex-info "late" {})))
                       (raw/quiet)]
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/whole") (raw/request "GET" "/whole"))
        (is (= [[200 "sent"] [200 "sent"]]
               (repeatedly 2 #((juxt :status :body) (raw/read-response connection))))))))
  (testing "leaves a stream that has begun to whoever holds its channel"
    (let [channels (LinkedBlockingQueue.)
          logged (LinkedBlockingQueue.)]
      (raw/with-servers [port (fn [request]
                                (.send ^AsyncChannel (:async-channel request) "sent" false)
                                (.put channels (:async-channel request))
                                (throw (ex-info "late" {})))
                         {:error-logger (fn [_ exception] (.put logged (ex-message exception)))}]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (is (= "late" (.poll logged raw/patience-millis TimeUnit/MILLISECONDS)))
          (let [ch ^AsyncChannel (.take channels)]
            (is (not (.isClosed ch)))
            (.send ch ", and more" true))
          (is (= [200 "sent, and more"] ((juxt :status :body) (raw/read-response connection)))))))))

(deftest two-answers
  (testing "the second is ignored, and a warning says so"
    (let [log (atom [])]
      (raw/with-servers [port (fn [request]
                                (.send ^AsyncChannel (:async-channel request) "first" true)
                                {:body "second"})
                         (raw/quiet log)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/a") (raw/request "GET" "/b"))
          (is (= ["first" "first"] (repeatedly 2 #(:body (raw/read-response connection)))))))
      (is (= {"Response ignored: GET /a was answered through its channel" rounds
              "Response ignored: GET /b was answered through its channel" rounds}
             (frequencies (map first @log))))
      (is (every? #(instance? IllegalStateException (second %)) @log)))))

(deftest interrupt-flag
  (testing "a handler's own interrupt does not reach the next request"
    (raw/with-servers [port (fn [_]
                              (let [before (.isInterrupted (Thread/currentThread))]
                                (.interrupt (Thread/currentThread))
                                {:body (str before)}))
                       {:thread 1 :allow-virtual? false}]
      (raw/with-connection [connection port]
        (dotimes [_ 50]
          (raw/write connection (raw/request "GET" "/"))
          (is (= "false" (:body (raw/read-response connection)))))))))

(deftest full-pool
  (let [entered (CountDownLatch. 1)
        gate (CountDownLatch. 1)
        log (atom [])
        events (atom [])]
    (raw/with-server [port (fn [_] (.countDown entered) (raw/await-latch gate) {:body "done"})
                      (assoc (raw/quiet log) :thread 1 :queue-size 1 :allow-virtual? false
                             :event-logger #(swap! events conj %))]
      (raw/with-connection [running port]
        (raw/with-connection [a port]
          (raw/with-connection [b port]
            (raw/write running (raw/request "GET" "/"))
            (is (raw/await-latch entered))
            (let [refusal (promise)
                  answers (doall (for [connection [a b]]
                                   (future
                                     (raw/write connection (raw/request "GET" "/"))
                                     (let [response (raw/read-response connection)]
                                       (when (= 503 (:status response))
                                         (deliver refusal response))
                                       response))))]
              (testing "one request waits; the other is refused at once, and its connection kept"
                (let [response (raw/await-value refusal)]
                  (is (= "Server unavailable, please try again" (:body response)))
                  (is (= ["text/plain; charset=utf-8" "1" nil]
                         (map (:headers response) ["content-type" "retry-after" "connection"])))))
              (.countDown gate)
              (is (= 200 (:status (raw/read-response running))))
              (is (= [200 503] (sort (map (comp :status raw/await-value) answers)))))))))
    (is (= "failed to submit task to executor service" (ffirst @log)))
    (is (instance? java.util.concurrent.RejectedExecutionException (second (first @log))))
    (is (= {"httpkit.server.status.503" 1 "httpkit.server.status.processed.200" 2} (frequencies @events)))))

(deftest events
  (let [events (atom [])
        handler (fn [request]
                  (case (:uri request)
                    "/nil" nil
                    "/channel" (do (.send ^AsyncChannel (:async-channel request) "x" true)
                                   {:body (:async-channel request)})
                    {:status (Long/parseLong (subs (:uri request) 1))}))
        run (fn [options]
              (reset! events [])
              (raw/with-server [port handler (merge (raw/quiet) {:event-logger #(swap! events conj %) :max-body 3
                                                                 :max-line 200 :max-headers 5} options)]
                (raw/with-connection [connection port]
                  (doseq [path ["/200" "/404" "/nil" "/channel" "/1"]]
                    (raw/write connection (raw/request "GET" path))
                    (raw/read-response connection)))
                (is (= 413 (:status (raw/fetch port "POST" "/200" :body "1234"))))
                (is (= 414 (:status (raw/fetch port "GET" (apply str "/" (repeat 300 "x"))))))
                (is (= 431 (:status (raw/fetch port "GET" "/200" :headers (zipmap (map #(str "X" %) (range 10)) (range))))))
                (is (= 400 (:status (raw/fetch port "GET" "/ 200")))))
              ;; An event follows its answer, so the client may be at the next request by then: there is no order.
              (is (apply distinct? @events))
              (set @events))]
    (doseq [dispatch raw/dispatches]
      (testing dispatch
        (is (= #{"httpkit.server.status.processed.200" "httpkit.server.status.processed.404"
                 "httpkit.server.status.404" "httpkit.server.status.500" "httpkit.server.status.413"
                 "httpkit.server.status.414" "httpkit.server.status.processed.431"}
               (run {:dispatch dispatch})))))
    (testing "under other names"
      (is (= #{"a.200" "a.404" "b" "httpkit.server.status.500" "httpkit.server.status.413" "httpkit.server.status.414" "a.431"}
             (run {:event-names {"serverStatusPrefix" "a." "serverStatus404" "b" :serverStatus500 "ignored"}})))
      (is (contains? (run {:event-names (EventNames. {"serverStatus404" "b"})}) "b")))))

(deftest throwing-loggers
  (let [log (fn [& _] (throw (Error. "the logger is broken")))
        text (printed
              #(raw/with-servers [port (fn [request] (if (= "/" (:uri request)) (throw (Exception. "lost?")) {}))
                                  {:error-logger log :warn-logger log :event-logger log}]
                 (raw/with-connection [connection port]
                   (raw/write connection (raw/request "GET" "/") (raw/request "GET" "/ok") (raw/request "GET" "/"))
                   (is (= [500 200 500] (repeatedly 3 (fn [] (:status (raw/read-response connection)))))))))]
    (testing "neither the entry nor the logger's own failure is lost"
      (is (re-find #"ERROR - GET /\n.*Exception: lost\?" text))
      (is (re-find #"ERROR - a logger threw.*\n.*Error: the logger is broken" text)))))
