(ns jvm.shortage-test
  "What a system refuses, or a process runs out of (docs/RELIABILITY.md, R13, R14, R17)."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [jvm.load :as load])
  (:import (java.io BufferedReader)
           (java.util List)))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(defn- served
  "Returns the bodies of so many requests, each on a connection of its own."
  [port times]
  (repeatedly times #(:body (raw/fetch port "GET" "/"))))

(deftest a-heap-that-is-full
  (with-open [jvm (child/start)]
    (child/evaluate jvm '(do (defn hoarding [{:keys [uri]}]
                               {:body (if (= "/hoard" uri)
                                        (str (count (loop [all []] (recur (conj all (byte-array 10000000))))))
                                        "fine")})
                             nil))
    (doseq [dispatch [:pool :in-place]]
      (testing dispatch
        (let [port (child/evaluate jvm (list 'start 'hoarding {:dispatch dispatch :error-logger '(fn [_ _])}))]
          (dotimes [_ 20]
            (is (= 500 (:status (raw/fetch port "GET" "/hoard"))))
            (is (= ["fine"] (served port 1)))))))
    (is (empty? (child/complaints jvm)))))

(defn- trace
  "Has strace let every second accept of the process fail, and write down each. Returns strace's process once it does, or nil
  if it may not."
  ^Process [pid error file]
  (let [command ["strace" "-f" "-p" (str pid) "-o" (str file) "-e" "trace=accept4"
                 "-e" (str "inject=accept4:error=" error ":when=1+2")]
        process (try
                  (.start (doto (ProcessBuilder. ^List command) (.redirectErrorStream true)))
                  (catch java.io.IOException _ nil))]
    (when process
      (let [line (.readLine ^BufferedReader (io/reader (.getInputStream ^Process process)))]
        (when (string/includes? (str line) "attached")
          process)))))

(deftest accepts-that-fail
  (with-open [jvm (child/start)]
    (let [port (child/evaluate jvm '(start {:error-logger (fn [_ _])}))
          calls (io/file (temporary/directory) "calls")]
      (doseq [error ["ECONNABORTED" "EPROTO" "ENOBUFS" "EINTR"]]
        (if-let [strace (trace (child/pid jvm) error calls)]
          (testing error
            (try
              (is (= (repeat 10 "fine") (served port 10)))
              (finally
                (.destroy strace)
                (.waitFor strace)))
            (is (<= 5 (count (re-seq (re-pattern (str error ".*INJECTED")) (slurp calls))))))
          (skip "strace is not there, or may not trace")))
      (testing "the listener is as it was"
        (is (= (repeat 10 "fine") (served port 10)))))))

;; A SYN that finds the backlog full is sent again after a second.
(def ^:private retry-millis 1000)

(defn- connect-all
  "Connects so many clients, 8 at once. Returns them and the most milliseconds that one took."
  [port clients]
  (let [connect-some (fn [] (mapv (fn [_] (load/timed #(raw/connect port))) (range (quot (long clients) 8))))
        timed (mapcat deref (doall (repeatedly 8 #(future (connect-some)))))]
    [(mapv second timed) (reduce max (map first timed))]))

(deftest a-burst-of-connects
  (testing "waits for no retry, with the backlog of a server that was not told otherwise"
    (with-open [jvm (child/start)]
      (let [port (child/evaluate jvm '(start))
            burst (fn []
                    (let [[connections millis] (connect-all port 2000)]
                      (doseq [connection connections]
                        (raw/write connection (raw/request "GET" "/")))
                      (is (= {"fine" 2000} (frequencies (map #(:body (raw/read-response %)) connections))))
                      (run! raw/disconnect connections)
                      millis))]
        ;; On a busy machine the clients may fill the backlog before the server has its turn: the quickest of some rounds.
        (is (some #(< (long %) (long retry-millis)) (repeatedly 20 burst)))))))

(deftest a-backlog-that-fills-while-the-process-is-stopped
  (with-open [jvm (child/start)]
    (let [port (child/evaluate jvm '(start {:backlog 1024}))
          signal #(child/run "kill" (str "-" %) (child/pid jvm))]
      ;; More than tokio accepts before it gives way, and handlers that keep their thread for a while.
      (dotimes [_ 5]
        (signal "STOP")
        (let [connections (doall (repeatedly 400 #(raw/connect port)))]
          (doseq [connection connections]
            (raw/write connection (raw/request "GET" "/wait")))
          (signal "CONT")
          (is (= {"waited" 400} (frequencies (map #(:body (raw/read-response %)) connections))))
          (run! raw/disconnect connections)))
      (testing "and the listener goes on"
        (is (= (repeat 10 "fine") (served port 10)))))))
