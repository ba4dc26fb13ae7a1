(ns org.httpkit.server-stop-close-test
  "A stop and the `on-close` callbacks it owes: whoever is told that the server has stopped may take away what they use."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [jvm.load :as load]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch)
           (org.httpkit.server HttpServer)))

(def ^:private grace-for-the-wrong-millis
  "How long a callback still runs while the stop, which should wait for it, has not returned. Well below the second it waits at least."
  100)

(def ^:private channels
  "What a stop cuts, or closes: the request for it, and what opens it."
  {:stream [{} #(server/send! % {:status 200 :body "first"} false)]
   :long-poll [{} (fn [_])]
   :web-socket [ws/handshake-headers (fn [_])]})

(def ^:private stops
  {:function (fn [running] ((:stop running)))
   :at-once (fn [running] ((:stop running) :timeout 0))
   :promise (fn [running] (raw/await-value (server/server-stop! (:server running))))})

(defn- run [handler options]
  (let [stop (server/run-server handler (merge {:port 0 :ip "127.0.0.1"} (raw/quiet) options))]
    (assoc (meta stop) :stop stop)))

(defmacro ^:private with-channel-open
  "Runs the body while the server has an open channel of this kind whose `:on-close` is the function."
  [[running kind on-close options] & body]
  `(let [[headers# on-open#] (channels ~kind)
         opened# (CountDownLatch. 1)
         ~running (run (fn [request#]
                         (server/as-channel request# {:on-close ~on-close
                                                      :on-open (fn [channel#]
                                                                 (on-open# channel#)
                                                                 (.countDown opened#))}))
                       ~options)]
     (raw/with-connection [connection# (:local-port ~running)]
       (raw/write connection# (raw/request "GET" "/" :headers headers#))
       (is (raw/await-latch opened#))
       ~@body)))

(deftest a-stop-waits-for-on-close
  (doseq [kind (keys channels)
          [way stop] stops
          dispatch raw/dispatches]
    (testing [kind way dispatch]
      (let [[entered gate] (repeatedly #(CountDownLatch. 1))
            [closed returned] (repeatedly promise)
            on-close (fn [_ status]
                       (.countDown ^CountDownLatch entered)
                       (raw/await-latch gate)
                       (deliver closed status))]
        (with-channel-open [running kind on-close {:dispatch dispatch}]
          (let [releaser (future
                           (raw/await-latch entered)
                           (deref returned grace-for-the-wrong-millis nil)
                           (.countDown ^CountDownLatch gate))]
            (stop running)
            (is (realized? closed) "and was not interrupted")
            (deliver returned true)
            (is (= :server-close (raw/await-value closed)))
            (is (nil? (raw/await-value releaser)))))))))

(deftest the-callback-of-a-stop-comes-after-on-close
  (let [server (promise)
        events (atom [])]
    (with-channel-open [running :stream (fn [_ _] (swap! events conj (server/server-status @server))) {}]
      (deliver server (:server running))
      (.stop ^HttpServer @server 0 #(swap! events conj :callback)))
    (is (= [:stopping :callback] @events))))

(deftest an-on-close-that-does-not-end-does-not-hold-a-stop-up-for-ever
  (let [[entered gate] (repeatedly #(CountDownLatch. 1))
        closed (promise)]
    (with-channel-open [running :long-poll (fn [_ status]
                                             (.countDown ^CountDownLatch entered)
                                             (raw/await-latch gate)
                                             (deliver closed status)) {}]
      (let [[millis result] (load/timed #((:stop running) :timeout 0))]
        (is (nil? result))
        (is (> 3000 (long millis)) "a second, and what a busy machine adds"))
      (is (= :stopped (server/server-status (:server running))))
      (is (raw/await-latch entered))
      (is (not (realized? closed)))
      (.countDown ^CountDownLatch gate)
      (is (= :server-close (raw/await-value closed))))))

(deftest a-stop-within-on-close
  (doseq [timeout [0 100]
          dispatch raw/dispatches]
    (testing [timeout dispatch]
      (let [result (promise)
            server (promise)
            running (run (fn [request]
                           (server/as-channel
                            request
                            {:on-close (fn [_ status]
                                         (let [stopped (server/server-stop! @server {:timeout timeout})]
                                           (deliver result [status (realized? stopped)])))
                             :on-open #(server/send! % "first" false)}))
                         {:dispatch dispatch})]
        (deliver server (:server running))
        (raw/with-connection [connection (:local-port running)]
          (raw/write connection (raw/request "GET" "/"))
          (is (= 200 (:status (raw/read-head connection)))))
        (is (= [:client-close true] (raw/await-value result)))
        (is (= :stopped (server/server-status (:server running))))))))

(deftest a-stop-within-a-handler-does-not-wait-for-the-on-close-that-waits-for-the-handler
  (doseq [dispatch raw/dispatches]
    (testing dispatch
      (let [handled (CountDownLatch. 1)
            [server closed at-return] (repeatedly promise)
            running (run (fn [request]
                           (server/on-close (:async-channel request)
                                            (fn [status] (deliver closed [status (raw/await-latch handled)])))
                           (server/server-stop! @server {:timeout 0})
                           (deliver at-return (realized? closed))
                           (.countDown handled)
                           {:body "x"})
                         {:dispatch dispatch})]
        (deliver server (:server running))
        (raw/with-connection [connection (:local-port running)]
          (raw/write connection (raw/request "GET" "/"))
          (is (false? (raw/await-value at-return)))
          (is (= [:server-close true] (raw/await-value closed))))))))

(deftest a-channel-that-opens-while-the-server-stops
  (doseq [dispatch raw/dispatches]
    (testing ["a handshake of a handler that ends within the time" dispatch]
      (let [entered (CountDownLatch. 1)
            [port closed] (repeatedly promise)
            listens? #(try (raw/with-connection [_ @port] true) (catch java.io.IOException _ false))
            running (run (fn [request]
                           (.countDown entered)
                           ;; From then on the engine refuses upgrades.
                           (raw/await-true #(not (listens?)))
                           (server/as-channel request {:on-close (fn [_ status] (deliver closed status))}))
                         {:dispatch dispatch})]
        (deliver port (:local-port running))
        (raw/with-connection [connection (:local-port running)]
          (raw/write connection (ws/handshake-text "/" {}))
          (is (raw/await-latch entered))
          ((:stop running) :timeout raw/patience-millis)
          (is (= :server-close (raw/await-value closed))))))
    (doseq [[kind [headers]] (dissoc channels :stream)]
      (testing ["one whose handler goes on after it was cut" kind dispatch]
        (let [entered (CountDownLatch. 1)
              [stopped closed] (repeatedly promise)
              running (run (fn [request]
                             (.countDown entered)
                             ;; The stop interrupts, so nothing here may wait.
                             (raw/await-true #(realized? stopped))
                             (server/as-channel request {:on-close (fn [_ status] (deliver closed status))}))
                           {:dispatch dispatch})]
          (raw/with-connection [connection (:local-port running)]
            (raw/write connection (raw/request "GET" "/" :headers headers))
            (is (raw/await-latch entered))
            ((:stop running) :timeout 0)
            (deliver stopped true)
            (is (= :server-close (raw/await-value closed)))))))))
