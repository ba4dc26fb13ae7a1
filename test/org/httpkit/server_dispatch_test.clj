(ns org.httpkit.server-dispatch-test
  "Where handlers run, and what they find there."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw])
  (:import (java.util.concurrent CountDownLatch)))

(defn- thread-of
  "Returns the thread that runs a handler under these options."
  ^Thread [options]
  (let [thread (promise)]
    (raw/with-server [port (fn [_] (deliver thread (Thread/currentThread)) {}) options]
      (raw/fetch port "GET" "/"))
    (raw/await-value thread)))

(deftest threads
  (is (= "http-kit-server-worker-1" (.getName (thread-of {:dispatch :pool :allow-virtual? false}))))
  (is (= "mine-1" (.getName (thread-of {:dispatch :pool :worker-name-prefix "mine-" :allow-virtual? false}))))
  (is (= "ours-1" (.getName (thread-of {:dispatch :pool :prefix "mine-" :pool-opts {:prefix "ours-" :allow-virtual? false}}))))
  (testing "an engine thread has a name and does not keep the JVM alive"
    (let [thread (thread-of {:dispatch :in-place})]
      (is (re-matches #"httpkit-rs-\d+" (.getName thread)))
      (is (.isDaemon thread)))))

(deftest an-interrupt-that-comes-late
  (testing "for a handler that is over, does not reach the next on its thread"
    (let [first-thread (atom nil)
          seen (promise)
          handler (fn [_]
                    (let [thread (Thread/currentThread)]
                      (if (compare-and-set! first-thread nil thread)
                        {:body "first"}
                        (do (when (identical? thread @first-thread)
                              (deliver seen (.isInterrupted thread)))
                            {:body "next"}))))]
      (raw/with-server [port handler {:dispatch :in-place}]
        (is (= "first" (:body (raw/fetch port "GET" "/"))))
        (.interrupt ^Thread @first-thread)
        (is (raw/await-true #(do (raw/fetch port "GET" "/") (realized? seen))))
        (is (false? @seen))))))

(deftest context-class-loader
  (let [thread (Thread/currentThread)
        before (.getContextClassLoader thread)
        loader (clojure.lang.DynamicClassLoader. before)
        handler (fn [_]
                  (let [found (.getContextClassLoader (Thread/currentThread))]
                    (.setContextClassLoader (Thread/currentThread) nil)
                    {:body (pr-str [(identical? loader found)
                                    (some? (io/resource "org/httpkit/server.clj" loader))])}))]
    (.setContextClassLoader thread loader)
    (try
      (raw/with-servers [port handler {:thread 1 :allow-virtual? false}]
        (.setContextClassLoader thread before)
        (testing "is that of the thread that called run-server"
          (is (= "[true true]" (:body (raw/fetch port "GET" "/")))))
        (.setContextClassLoader thread loader))
      (finally (.setContextClassLoader thread before))))
  (testing "on an engine thread also after a handler has changed it"
    (let [seen (atom #{})
          handler (fn [_]
                    (swap! seen conj (.getContextClassLoader (Thread/currentThread)))
                    (.setContextClassLoader (Thread/currentThread) nil)
                    {})]
      (raw/with-server [port handler {:dispatch :in-place}]
        (raw/with-connection [connection port]
          (dotimes [_ 20]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-response connection))))
      (is (= #{(.getContextClassLoader (Thread/currentThread))} @seen)))))

(deftest threads-of-a-pool-inherit-nothing
  (testing "of what a handler has left on the engine's thread that asks for them"
    (let [tenant (InheritableThreadLocal.)
          thread #(Thread/currentThread)
          everywhere (fn [port]
                       ;; Connections go to the reactors in turn.
                       (dotimes [_ (* 2 (.availableProcessors (Runtime/getRuntime)))]
                         (raw/fetch port "GET" "/")))
          leaving (fn [value priority]
                    (fn [_]
                      (.set tenant value)
                      (.setPriority ^Thread (thread) (int priority))
                      {}))]
      (raw/with-server [port (leaving "another's" Thread/MIN_PRIORITY) {:dispatch :in-place}]
        (everywhere port))
      (try
        (doseq [virtual? [true false]]
          (let [seen (atom #{})]
            (raw/with-server [port (fn [_]
                                     (swap! seen conj [(.get tenant) (.getPriority ^Thread (thread))])
                                     {})
                              {:dispatch :pool :allow-virtual? virtual?}]
              (everywhere port))
            (is (= #{[nil Thread/NORM_PRIORITY]} @seen))))
        (finally
          (raw/with-server [port (leaving nil Thread/NORM_PRIORITY) {:dispatch :in-place}]
            (everywhere port)))))))

(deftest a-pool-keeps-the-engine-free
  (testing "more blocked handlers than processors, and another server answers"
    (let [gate (CountDownLatch. 1)
          blocked (* 4 (.availableProcessors (Runtime/getRuntime)))
          entered (CountDownLatch. blocked)]
      (raw/with-server [port (fn [_] (.countDown entered) (raw/await-latch gate) {:body "late"}) {:thread blocked}]
        (raw/with-server [other (fn [_] {:body "at once"}) {:dispatch :in-place}]
          (let [connections (doall (repeatedly blocked #(raw/write (raw/connect port) (raw/request "GET" "/"))))]
            (is (raw/await-latch entered))
            (is (= "at once" (:body (raw/fetch other "GET" "/"))))
            (.countDown gate)
            (is (= #{"late"} (set (map (comp :body raw/read-response) connections))))
            (run! raw/disconnect connections)))))))
