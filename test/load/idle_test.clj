(ns load.idle-test
  "Connections that wait for their next request cost little, and what they cost is given back (docs/RELIABILITY.md, R15).

  By default 2000; `-Dhttpkit-rs.full-counts=true` makes it 10,000."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [jvm.load :as load]
            [load.child :as memory]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(use-fixtures :each temporary/cleanup)

(def ^:private connections (long (child/counts 2000 10000)))
(def ^:private bytes-each (* 16 1024))

;; Of what the process occupied before: the system's allocator keeps some of what it gets back for the next who asks.
(def ^:private kept-part 0.05)
;; What a connection may leave behind when as many have come and gone before: nothing, but for some noise of the JVM's.
(def ^:private left-each 128)

;; 5 seconds, which a busy machine may pass by 2.
(def ^:private give-back-millis 7000)

(def ^:private addresses
  "One address has ports for 28,000 connections, by Linux's default, less what others use and what has just ended."
  (mapv #(str "127.0.0." %) (range 2 10)))

;; A heap touched at the start: what the process grows by is native memory.
(def ^:private fixed-heap ["-Xms256m" "-Xmx256m" "-XX:+UseSerialGC" "-XX:+AlwaysPreTouch"])

(defn- open
  "Opens so many connections, each of which has been served once."
  [port how-many]
  (let [opened (mapv #(raw/connect port :from (addresses (rem (long %) (count addresses)))) (range how-many))]
    (doseq [connection opened]
      (raw/write connection (raw/request "GET" "/")))
    (is (= {"fine" how-many} (frequencies (map #(:body (raw/read-response %)) opened))))
    opened))

(defn- served? [port]
  (= "fine" (:body (raw/fetch port "GET" "/"))))

(defn- state
  "Returns what the process holds, asked from outside: answering would cost it memory."
  [jvm]
  {:descriptors (count (.list (io/file "/proc" (str (child/pid jvm)) "fd")))
   :bytes (memory/resident-bytes jvm)})

(defn- wave
  "Opens the connections, serves another, and closes them. Returns the bytes that the process has grown by while they were open;
  waits until it holds no more than `before` allows."
  [jvm port before]
  (let [opened (open port connections)
        growth (merge-with - (state jvm) before)]
    (is (= connections (:descriptors growth)))
    (is (served? port))
    (run! raw/disconnect opened)
    (let [given-back? #(let [{:keys [descriptors bytes]} (state jvm)]
                         (and (= descriptors (:descriptors before))
                              (<= (long bytes) (* (+ 1.0 (double kept-part)) (double (:bytes before))))))
          [millis in-time?] (load/timed #(raw/await-true given-back?))]
      (is in-time? [before (state jvm)])
      (is (< (long millis) (long give-back-millis))))
    (is (served? port))
    (long (:bytes growth))))

(deftest idle-connections
  (if (.exists (io/file "/proc/self/status"))
    (with-open [jvm (child/start :options fixed-heap)]
      (let [port (child/evaluate jvm '(start))
            warm-up (open port 500)
            descriptors (- (long (:descriptors (state jvm))) (count warm-up))
            _ (run! raw/disconnect warm-up)
            _ (is (raw/await-true #(= descriptors (:descriptors (state jvm)))))
            before (state jvm)]
        (testing "cost"
          (is (<= (long (wave jvm port before)) (* (long connections) (long bytes-each)))))
        (testing "what is kept of them is for the next ones"
          (let [after-each (doall (for [_ (range 4)]
                                    (do (wave jvm port before)
                                        (:bytes (state jvm)))))
                ;; The JVM compiles code in some of them, a leak is in each.
                least (long (reduce min (map - (rest after-each) after-each)))]
            (is (<= least (* (long connections) (long left-each))))))))
    (skip "memory of a process is read from /proc")))
