(ns jvm.lifecycle-test
  "Starting and stopping within their figures: what finishes, what is cut, and what is left (docs/RELIABILITY.md, L7 to L14)."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [jvm.load :as load]
            [jvm.served :as served]
            [org.httpkit.server :as server])
  (:import (java.net BindException InetSocketAddress ServerSocket SocketException)
           (java.util.concurrent CountDownLatch LinkedBlockingQueue)
           (org.httpkit.server HttpServer)))

(set! *warn-on-reflection* true)

(defn- start ^HttpServer [handler & {:as options}]
  (server/run-server handler (merge {:port 0 :ip "127.0.0.1" :legacy-return-value? false} (raw/quiet) options)))

(defn- refuses? [port]
  (try
    (raw/with-connection [_ port] false)
    (catch SocketException _ true)))

(defn- await-refusal
  "Waits until the port is closed."
  [port]
  (raw/await-true #(refuses? port)))

(defn- quickest
  "Returns the least of the milliseconds `f` returns in five rounds: what else the machine does only adds to them."
  [f]
  (apply min (repeatedly 5 f)))

(defn- since [^long nanos]
  (quot (- (System/nanoTime) nanos) 1000000))

(defn- gated
  "Returns a handler that opens `entered` and answers when `gate` is open; counts its interrupts in the atom."
  [^CountDownLatch entered gate interrupts]
  (fn [_]
    (.countDown entered)
    (try
      (raw/await-latch gate)
      {:body "finished"}
      (catch InterruptedException _
        (swap! interrupts inc)
        {:body "interrupted"}))))

(defn- stop-round
  "Stops a server with a request in flight. Returns the milliseconds until its port was closed, from the end of the request, if
  `finish?`, or else from the call, until stop returned, what the client read, and the number of interrupts."
  [dispatch timeout finish?]
  (let [[^CountDownLatch entered ^CountDownLatch gate] (repeatedly #(CountDownLatch. 1))
        interrupts (atom 0)
        server (start (gated entered gate interrupts) :dispatch dispatch)
        port (server/server-port server)]
    (raw/with-connection [connection port]
      (raw/write connection (raw/request "GET" "/"))
      (raw/await-latch entered)
      (let [called (System/nanoTime)
            stopped (future @(server/server-stop! server {:timeout timeout}) (System/nanoTime))
            _ (await-refusal port)
            closed (since called)
            released (if finish? (System/nanoTime) called)
            _ (when finish? (.countDown gate))
            text (raw/read-rest connection)
            returned (quot (- (long (raw/await-value stopped)) released) 1000000)]
        (raw/await-true #(or finish? (pos? (long @interrupts))))
        {:closed closed :returned returned :text text :interrupts @interrupts}))))

(deftest stop-lets-a-request-finish
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [rounds (doall (repeatedly 5 #(stop-round dispatch 3000 true)))]
        (is (> 20 (long (apply min (map :closed rounds)))) "the listener is closed")
        (is (> 100 (long (apply min (map :returned rounds)))) "stop waits for the request and for nothing else")
        (is (every? #(re-find #"(?s)^HTTP/1.1 200 .*finished$" (:text %)) rounds))
        (is (= #{0} (set (map :interrupts rounds))))))))

(deftest stop-cuts-what-takes-longer
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [rounds (doall (repeatedly 5 #(stop-round dispatch 100 false)))]
        (is (> 150 (long (apply min (map :returned rounds)))))
        (is (every? #(<= 100 (long (:returned %))) rounds))
        (is (= #{""} (set (map :text rounds))) "nothing looks like an answer")
        (is (= #{1} (set (map :interrupts rounds))))))))

(deftest stop-with-open-websockets
  (is (> 200 (long (quickest
                    #(let [closes (ws/events)
                           server (start (fn [request]
                                           (server/as-channel request {:on-close (fn [_ status] (ws/note closes status))})))
                           sockets (doall (repeatedly 10 (fn [] (ws/connect (server/server-port server)))))
                           before (System/nanoTime)]
                       @(server/server-stop! server {:timeout 100})
                       (doseq [socket sockets]
                         (is (= [1001 ""] (ws/read-close socket)))
                         (is (raw/ended? socket)))
                       (let [millis (since before)]
                         (is (= (repeat 10 :server-close) (repeatedly 10 (fn [] (ws/next-event closes)))))
                         (is (ws/no-event? closes))
                         (run! raw/disconnect sockets)
                         millis)))))))

(deftest stop-from-anywhere
  (testing "within a handler, from two threads, and twice: no deadlock"
    (doseq [dispatch raw/dispatches]
      (is (> 200 (long (quickest
                        #(let [server (atom nil)
                               results (LinkedBlockingQueue.)
                               ;; Stop interrupts its own handler: neither a promise nor put would do.
                               stop (fn [] (.offer results (some? (server/server-stop! @server {:timeout 100}))))
                               before (System/nanoTime)]
                           (reset! server (start (fn [_] (future (stop)) (stop) (stop)) :dispatch dispatch))
                           (raw/with-connection [connection (server/server-port @server)]
                             (raw/write connection (raw/request "GET" "/"))
                             (is (= {true 1 false 2} (frequencies (repeatedly 3 (fn [] (ws/next-event results)))))))
                           (server/server-join @server)
                           (since before)))))
          dispatch)))
  (testing "during the start: the server stops, or has not been started yet"
    (dotimes [_ 50]
      (let [server (promise)
            stopper (future (let [^HttpServer server @server]
                              (while (not (.stop server 100)) (Thread/onSpinWait))
                              (.getStatus server)))
            unstarted (HttpServer. (#'server/application (fn [_]) {} ((requiring-resolve 'org.httpkit.engine.pool/dispatcher)
                                                                     server/new-worker {})
                                                         ((requiring-resolve 'org.httpkit.engine.options/telemetry) {}))
                                   (.encode ^org.httpkit.engine.Configuration
                                            ((requiring-resolve 'org.httpkit.engine.address/add-address)
                                             ((requiring-resolve 'org.httpkit.engine.options/configuration) {})
                                             {:port 0 :ip "127.0.0.1"})))]
        (deliver server unstarted)
        (is (true? (.start unstarted)))
        (is (= "STOPPED" (str (raw/await-value stopper))))
        (is (refuses? (.getPort unstarted)))))))

(deftest a-port-in-use
  (with-open [taken (ServerSocket. 0 1 (.getAddress (InetSocketAddress. "127.0.0.1" 0)))]
    (let [attempt #(is (thrown? BindException (start (fn [_]) :port (.getLocalPort taken))))
          pools #(frequencies (filter (fn [name] (re-find #"server-loop|http-kit|httpkit-rs" name)) (served/threads)))
          _ (attempt)
          before (System/nanoTime)
          threads (pools)
          descriptors (count (served/descriptors))]
      (dotimes [_ 50] (attempt))
      ;; Fewer are of earlier servers: threads for their last callbacks end after a second.
      (is (empty? (remove (fn [[name how-many]] (<= (long how-many) (long (get threads name 0)))) (pools))))
      (is (= descriptors (count (served/descriptors))))
      (is (> 20000 (long (since before)))))))

(deftest restart-after-load
  (let [port (atom 0)]
    (is (> 100 (long (quickest
                      #(let [server (start (fn [_] {:body "fine"}) :port @port)]
                         (reset! port (server/server-port server))
                         (with-open [load (load/start @port 4)]
                           (load/await-answers load 500)
                           @(server/server-stop! server))
                         (let [before (System/nanoTime)
                               again (start (fn [_] {:body "again"}) :port @port)
                               millis (since before)]
                           (is (= "again" (:body (raw/fetch @port "GET" "/"))))
                           @(server/server-stop! again)
                           millis))))))))

(deftest the-other-server
  (testing "is not disturbed when one stops, under load"
    (let [other (start served/handler)
          port (server/server-port other)
          clients (doall (repeatedly 4 (fn [] (future (load/fetch-times port (raw/request "GET" "/") 2000)))))]
      (dotimes [_ 10]
        (let [server (start served/handler)]
          (with-open [load (load/start (server/server-port server) 2)]
            (load/await-answers load 20)
            @(server/server-stop! server))))
      (is (= (repeat 4 {[200 "fine"] 2000}) (map raw/await-value clients)))
      @(server/server-stop! other))))
