(ns org.httpkit.logger.log-limit-test
  "How often the default loggers say the same."
  (:require [clojure.test :refer [deftest is testing]])
  (:import (java.lang.reflect Constructor)
           (java.util.concurrent Executor)
           (java.util.function LongSupplier)
           (org.httpkit.logger ContextLogger LogLimit)
           (org.httpkit.server HttpServer)))

(set! *warn-on-reflection* true)

(defn- limit
  "Returns a LogLimit that puts what it prints into `printed`, by the clock `nanos`, and what is to run later into `later`."
  ^LogLimit [printed nanos later]
  (let [types [ContextLogger LongSupplier Executor]
        ^Constructor constructor (.getDeclaredConstructor LogLimit (into-array Class types))]
    (.setAccessible constructor true)
    (.newInstance constructor
                  (object-array [(reify ContextLogger (log [_ message error] (swap! printed conj [message (ex-message error)])))
                                 (reify LongSupplier (getAsLong [_] @nanos))
                                 (reify Executor
                                   (execute [_ task]
                                     (when-not @later
                                       (throw (OutOfMemoryError. "unable to create native thread")))
                                     (swap! later conj task)))]))))

(defmacro ^:private with-limit [[log printed nanos later] & body]
  `(let [~printed (atom []), ~nanos (atom 0), ~later (atom [])
         limit# (limit ~printed ~nanos ~later)
         ~log (fn [message# error#] (.log limit# message# error#))]
     ~@body))

(deftest the-first-ten-of-a-second
  (with-limit [log printed nanos later]
    (dotimes [n 1000]
      (log (str "GET /" n) (ex-info "mine" {})))
    (is (= (map #(vector (str "GET /" %) "mine") (range 10)) @printed))
    (testing "and the number of the others"
      (is (= 1 (count @later)))
      (reset! printed [])
      (.run ^Runnable (first @later))
      (is (= [["990 more like this in the last second: GET /999 (clojure.lang.ExceptionInfo: mine {})" nil]] @printed)))
    (testing "and those of the next"
      (reset! printed [])
      (swap! nanos + 999999999)
      (log "GET /" (ex-info "mine" {}))
      (is (= [] @printed))
      (swap! nanos inc)
      (dotimes [_ 20] (log "GET /" (ex-info "mine" {})))
      (is (= 10 (count @printed))))))

(deftest other-causes
  (with-limit [log printed nanos later]
    (let [flood #(do (reset! printed [])
                     (dotimes [_ 50] (log %1 %2))
                     (count @printed))]
      (is (= 10 (flood "GET /" (ex-info "" {}))))
      (is (= 0 (flood "GET /other" (ex-info "" {}))))
      (is (= 10 (flood "POST /" (ex-info "" {}))))
      (is (= 10 (flood "GET /" (Exception.))))
      (is (= 10 (flood "GET /" nil)))
      (is (= 10 (flood nil (Exception.))))
      (is (= 10 (flood nil nil)))
      (testing "are not told apart without end"
        ;; A hundred, of which there are six, and all others together.
        (is (= (+ (* 94 10) 10) (apply + (map #(flood (str %) nil) (range 1000))))))
      (is (= 0 (flood "GET /" (ex-info "" {})))))))

(deftest no-thread-to-tell-the-number
  (let [printed (atom [])
        nanos (atom 0)
        later (atom nil)
        log (limit printed nanos later)]
    (dotimes [_ 20] (.log log "GET /" nil))
    (reset! later [])
    (.log log "GET /" nil)
    (reset! printed [])
    (.run ^Runnable (first @later))
    (is (= [["1 more like this in the last second: GET /" nil]] @printed))))

(deftest the-default-loggers-are-limited
  (is (instance? LogLimit ContextLogger/ERROR_PRINTER))
  (is (instance? LogLimit HttpServer/DEFAULT_WARN_LOGGER)))
