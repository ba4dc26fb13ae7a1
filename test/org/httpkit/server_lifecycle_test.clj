(ns org.httpkit.server-lifecycle-test
  "From start to stop: return values, statuses, and what becomes of exchanges under way."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.net SocketException)
           (java.util.concurrent CountDownLatch ExecutorService Executors LinkedBlockingQueue ThreadPoolExecutor TimeUnit)
           (org.httpkit.server AsyncChannel HttpServer)))

(defn- start ^HttpServer [handler & {:as options}]
  (server/run-server handler (merge {:port 0 :ip "127.0.0.1" :legacy-return-value? false} (raw/quiet) options)))

(defn- refuses-connections? [port]
  (try
    (raw/with-connection [_ port] false)
    ;; Refused, or reset while the listening socket is being closed.
    (catch SocketException _ true)))

(defn- elapsed-millis
  "Calls `f` and returns [milliseconds, value]."
  [f]
  (let [before (System/nanoTime)
        value (f)]
    [(quot (- (System/nanoTime) before) 1000000) value]))

(defn- latched
  "Returns a handler that opens `entered` and answers when `gate` is open, and interruption to `interrupted`, a promise."
  [^CountDownLatch entered gate interrupted]
  (fn [_]
    (.countDown entered)
    (try
      (raw/await-latch gate)
      {:body "finished"}
      (catch InterruptedException e
        (deliver interrupted (Thread/currentThread))
        (throw e)))))

(deftest stop-function
  (let [stop (server/run-server (fn [_]) {:port 0})
        {:keys [local-port server]} (meta stop)]
    (is (instance? HttpServer server))
    (is (pos? local-port))
    (is (= local-port (server/server-port server)))
    (is (thrown? NullPointerException (stop :timeout nil)))
    (is (thrown-with-msg? ClassCastException #":timeout must be a number" (stop :timeout "100")))
    (testing "a wait too long to count is not cut to a short one"
      (is (thrown? ArithmeticException (stop :timeout Long/MAX_VALUE)))
      (is (thrown? ArithmeticException (server/server-stop! server {:timeout 3000000000}))))
    (is (= :running (server/server-status server)))
    (is (nil? (stop :timeout 100.5 :unknown 1)))
    (is (= :stopped (server/server-status server)))
    (is (nil? (stop)))
    (when (resolve 'clojure.core/update-vals) ; From Clojure 1.11 on, a map may stand for the keys.
      (is (nil? (stop {:timeout 10}))))
    (is (refuses-connections? local-port))))

(deftest server-object
  (let [server (start (fn [_]))
        port (server/server-port server)
        joined (promise)]
    (is (= :running (server/server-status server)))
    (is (.isAlive server))
    (is (= "RUNNING" (str (.getStatus server))))
    (dotimes [_ 2] (future (server/server-join server)
                           (deliver joined (server/server-status server))))
    (let [stopped (server/server-stop! server {:timeout 50})]
      (is (= true (raw/await-value stopped)))
      (is (= :stopped (server/server-status server))))
    (is (nil? (server/server-stop! server)))
    (is (= :stopped (raw/await-value joined)))
    (is (nil? (server/server-join server)))
    (is (not (.isAlive server)))
    (testing "the port is still told"
      (is (= port (server/server-port server) (.getPort server))))
    (testing "there is no way back"
      (is (false? (.start server)))
      (is (= :stopped (server/server-status server)))
      (is (refuses-connections? port)))))

(deftest java-stop
  (let [server (start (fn [_]))
        calls (atom [])]
    (is (true? (.stop server 10 #(swap! calls conj (server/server-status server)))))
    (is (= [:stopped] @calls))
    (is (false? (.stop server 10 #(swap! calls conj :again))))
    (is (false? (.stop server 10)))
    (is (= [:stopped] @calls))))

(deftest the-thread-that-keeps-the-jvm-alive
  (let [loops (fn [] (filter #(= "server-loop" (.getName ^Thread %)) (keys (Thread/getAllStackTraces))))
        before (count (loops))
        server (start (fn [_]))]
    (is (= (inc before) (count (loops))))
    (is (not-any? #(.isDaemon ^Thread %) (loops)))
    @(server/server-stop! server)
    (is (= before (count (loops))))))

(deftest idle-connections-are-closed-at-once
  (let [server (start (fn [_] {:body "x"}))
        port (server/server-port server)]
    (raw/with-connection [used port]
      (raw/with-connection [fresh port]
        (raw/write used (raw/request "GET" "/"))
        (raw/read-response used)
        (let [[millis] (elapsed-millis #(raw/await-value (server/server-stop! server {:timeout 15000})))]
          (is (< millis 10000)))
        (is (raw/ended? used))
        (is (raw/ended? fresh))))))

(deftest an-exchange-may-finish
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [[entered gate] (repeatedly #(CountDownLatch. 1))
            server (start (latched entered gate (promise)) :dispatch dispatch)
            port (server/server-port server)]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "GET" "/"))
          (is (raw/await-latch entered))
          (let [stopped (future (raw/await-value (server/server-stop! server {:timeout 15000})))]
            (is (raw/await-true #(refuses-connections? port)))
            (is (= :stopping (server/server-status server)))
            (is (nil? (server/server-stop! server)))
            (.countDown ^CountDownLatch gate)
            (let [response (raw/read-response connection)]
              (is (= [200 "finished"] ((juxt :status :body) response))))
            (is (raw/ended? connection))
            (is (true? (raw/await-value stopped)))
            (is (= :stopped (server/server-status server)))))))))

(deftest an-exchange-that-takes-too-long-is-cut
  (doseq [dispatch raw/dispatches
          timeout [0 100]]
    (testing [dispatch timeout]
      (let [[entered gate] (repeatedly #(CountDownLatch. 1))
            interrupted (promise)
            server (start (latched entered gate interrupted) :dispatch dispatch)]
        (raw/with-connection [connection (server/server-port server)]
          (raw/write connection (raw/request "GET" "/"))
          (is (raw/await-latch entered))
          (is (true? (raw/await-value (server/server-stop! server {:timeout timeout}))))
          (is (instance? Thread (raw/await-value interrupted)))
          (is (= "" (raw/read-rest connection))))))))

(deftest a-handler-that-ignores-interrupts-does-not-hold-stop-up
  (doseq [dispatch raw/dispatches]
    (let [entered (CountDownLatch. 1)
          go-on (atom true)
          server (start (fn [_] (.countDown entered) (while @go-on (Thread/onSpinWait))) :dispatch dispatch)]
      (raw/with-connection [connection (server/server-port server)]
        (raw/write connection (raw/request "GET" "/"))
        (is (raw/await-latch entered))
        (is (true? (raw/await-value (server/server-stop! server {:timeout 20}))))
        (is (raw/ended? connection)))
      (reset! go-on false))))

(deftest an-interrupt-for-one-server-leaves-the-others-alone
  (let [[entered gate] (repeatedly #(CountDownLatch. 1))
        interrupted (promise)
        other (start (latched entered gate interrupted) :dispatch :in-place)
        stopped (start (fn [_] {:body "x"}) :dispatch :in-place)]
    (raw/with-connection [connection (server/server-port other)]
      (raw/write connection (raw/request "GET" "/"))
      (is (raw/await-latch entered))
      (is (= "x" (:body (raw/fetch (server/server-port stopped) "GET" "/"))))
      @(server/server-stop! stopped {:timeout 0})
      (.countDown ^CountDownLatch gate)
      (is (= "finished" (:body (raw/read-response connection))))
      (is (not (realized? interrupted))))
    (is (= "finished" (:body (raw/fetch (server/server-port other) "GET" "/"))))
    @(server/server-stop! other)))

(deftest stop-within-a-handler
  (doseq [dispatch raw/dispatches
          timeout [0 100]]
    (testing [dispatch timeout]
      (let [server (promise)
            result (promise)
            running (start (fn [_] (deliver result (some? (server/server-stop! @server {:timeout timeout}))) {:body "x"})
                           :dispatch dispatch)]
        (deliver server running)
        (raw/with-connection [connection (server/server-port running)]
          (raw/write connection (raw/request "GET" "/"))
          (is (true? (raw/await-value result)))
          (is (= :stopped (server/server-status running)))
          (raw/read-rest connection))
        (server/server-join running)))))

(deftest stop-from-two-threads
  (let [server (start (fn [_]))
        results (doall (repeatedly 4 #(future (server/server-stop! server))))]
    (is (= 1 (count (filter some? (map raw/await-value results)))))
    (is (= :stopped (server/server-status server)))))

(deftest a-users-pool-is-shut-down
  (let [^ExecutorService pool (Executors/newFixedThreadPool 1)
        names (atom #{})
        server (start (fn [_] (swap! names conj (.getName (Thread/currentThread))) {:body "x"})
                      :worker-pool (delay pool))]
    (dotimes [_ 3] (raw/fetch (server/server-port server) "GET" "/"))
    (is (= 1 (count @names)))
    (is (re-matches #"pool-\d+-thread-1" (first @names)))
    @(server/server-stop! server)
    (is (.isShutdown pool))))

(defn- pool
  "Returns a pool whose method of this name throws while `fails?` holds true."
  [method fails?]
  (proxy [ThreadPoolExecutor] [1 1 0 TimeUnit/SECONDS (LinkedBlockingQueue.)]
    (shutdown []
      (if (and @fails? (= :shutdown method))
        (throw (IllegalStateException. "no"))
        (let [^ThreadPoolExecutor this this] (proxy-super shutdown))))
    (shutdownNow []
      (if (and @fails? (= :shutdown-now method))
        (throw (IllegalStateException. "no"))
        (let [^ThreadPoolExecutor this this] (proxy-super shutdownNow))))))

(deftest a-users-pool-that-fails-does-not-keep-the-server
  (doseq [method [:shutdown :shutdown-now]
          timeout [0 100]]
    (testing [method timeout]
      (let [fails? (atom true)
            ^ExecutorService pool (pool method fails?)
            server (start (fn [_] {:body "x"}) :worker-pool pool)
            port (server/server-port server)
            called (promise)]
        (is (= "x" (:body (raw/fetch port "GET" "/"))))
        (is (thrown-with-msg? IllegalStateException #"^no$" (.stop server timeout #(deliver called true))))
        (is (= :stopped (server/server-status server)))
        (is (not (.isAlive server)))
        (is (realized? called))
        (is (refuses-connections? port))
        (reset! fails? false)
        (.shutdownNow pool)))))

(deftest a-pending-channel-may-finish
  (let [channel (promise)
        server (start (fn [request] (deliver channel (:async-channel request)) {:body (:async-channel request)}))
        port (server/server-port server)]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "GET" "/"))
      (let [^AsyncChannel channel (raw/await-value channel)
            stopped (future (raw/await-value (server/server-stop! server {:timeout 15000})))]
        (is (raw/await-true #(refuses-connections? port)))
        (is (true? (server/send! channel "late")))
        (let [response (raw/read-response connection)]
          (is (= "late" (:body response)))
          (is (= "Close" ((:headers response) "connection"))))
        (is (true? (raw/await-value stopped)))
        (is (raw/ended? connection))))))

(deftest a-pending-channel-that-does-not-finish-is-cut
  (let [channel (promise)
        closed (promise)
        closes (atom 0)
        server (start (fn [request]
                        (server/on-close (:async-channel request) #(do (swap! closes inc) (deliver closed %)))
                        (deliver channel (:async-channel request))
                        {:body (:async-channel request)}))]
    (raw/with-connection [connection (server/server-port server)]
      (raw/write connection (raw/request "GET" "/"))
      (raw/await-value channel)
      (is (true? (raw/await-value (server/server-stop! server {:timeout 20}))))
      (is (= "" (raw/read-rest connection)))
      (is (= :server-close (raw/await-value closed)))
      (is (not (server/open? @channel)))
      (is (false? (server/send! @channel "x")))
      (is (= 1 @closes)))))

(deftest the-stats-of-a-stopped-server
  (let [full (promise)
        server (start (fn [request]
                        (let [channel (:async-channel request)]
                          (server/send! channel {:status 200 :body (byte-array 8388608)} false)
                          (deliver full true)
                          {:body channel})))]
    (raw/with-connection [connection (server/server-port server) :receive-buffer 4096]
      (raw/write connection (raw/request "GET" "/"))
      (is (true? (raw/await-value full)))
      (let [{:keys [connections bytes-pending]} (server/server-stats server)]
        (is (= 1 connections))
        (is (pos? bytes-pending)))
      @(server/server-stop! server {:timeout 0})
      (testing "counts what was, and nothing that is no more"
        (let [{:keys [connections bytes-pending connections-accepted requests bytes-out]} (server/server-stats server)]
          (is (= [0 0 1 1] [connections bytes-pending connections-accepted requests]))
          (is (pos? bytes-out)))))))

(deftest restart-on-the-same-port
  (let [first-server (start (fn [_] {:body "1"}))
        port (server/server-port first-server)]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "GET" "/"))
      (raw/read-response connection)
      @(server/server-stop! first-server))
    (let [second-server (start (fn [_] {:body "2"}) :port port)]
      (is (= "2" (:body (raw/fetch port "GET" "/"))))
      @(server/server-stop! second-server))))

(deftest many-cycles
  (let [threads #(count (Thread/getAllStackTraces))
        cycle #(let [server (start (fn [_] {:body "x"}))]
                 (raw/fetch (server/server-port server) "GET" "/")
                 @(server/server-stop! server))]
    (cycle)
    (let [before (threads)]
      (dotimes [_ 30] (cycle))
      (is (<= (threads) (+ before 4))))))
