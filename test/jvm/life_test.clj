(ns jvm.life-test
  "From the start of a JVM to its end: cycles, references, signals and exits (docs/RELIABILITY.md, J4, J6, J10, J11, L13)."
  (:require [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary]
            [jvm.load :as load]
            [jvm.served :as served]))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(defn- grown
  "Returns by how much the numbers of the second map are larger."
  [before after]
  (merge-with - after before))

(deftest many-cycles
  (let [cycles (child/counts 200 1000)
        ;; A heap touched at the start: what the process grows by is native memory.
        fixed-heap ["-Xms64m" "-Xmx64m" "-XX:+UseSerialGC" "-XX:+AlwaysPreTouch"]]
    (with-open [jvm (child/start :options fixed-heap)]
      (let [state #(let [references (child/global-references jvm)]
                     (assoc (child/evaluate jvm '(do (System/gc) (process-state))) :references references))
            cycle #(child/evaluate jvm (list 'cycles %) :millis 120000)
            ;; With enough requests up-calls go by the foreign API, which keeps two references: before the count, or not at all.
            _ (cycle (child/counts cycles 3000))
            before (state)
            _ (cycle cycles)
            after (state)
            growth (grown (dissoc before :threads) (dissoc after :threads))]
        (is (= (:threads before) (:threads after)))
        (is (= {:descriptors 0 :references 0} (dissoc growth :kibibytes)))
        (is (> 4096 (long (:kibibytes growth)))))
      (testing "the JVM ends when main does"
        (let [[millis code] (load/timed #(do (child/end-input jvm) (child/await-exit jvm)))]
          (is (= 0 code))
          (is (> 1000 (long millis)))))
      (is (empty? (child/complaints jvm))))))

(deftest a-server-that-runs-keeps-the-jvm
  (with-open [jvm (child/start)]
    (let [port (child/evaluate jvm '(start))]
      (child/end-input jvm)
      (is (= :timeout (child/await-exit jvm :millis 300)))
      (is (= "fine" (:body (raw/fetch port "GET" "/")))))))

(deftest references-of-the-jvm
  (testing "requests and WebSockets leave no JNI reference behind"
    (with-open [jvm (child/start)]
      (let [port (child/evaluate jvm '(start))
            serve (fn [requests sockets]
                    (is (= {[200 "fine"] requests} (load/fetch-times port (raw/request "GET" "/") requests)))
                    ;; The engine keeps the array of a large body, and a stream has a head and pieces.
                    (doseq [path ["/large" "/stream"]]
                      (is (= [200] (map first (keys (load/fetch-times port (raw/request "GET" path) (quot requests 100)))))))
                    (is (= sockets (load/echo-sockets port sockets))))
            _ (serve 2000 50)
            before (child/global-references jvm)]
        (serve (child/counts 100000 1000000) (child/counts 2000 100000))
        (is (> 50 (- (child/global-references jvm) before)))
        (is (empty? (child/complaints jvm)))))))

(def ^:private signal-masks ["SigCgt" "SigIgn" "SigBlk"])

(defn- ignores-interrupts?
  "A shell starts what runs in the background so, and JVMs inherit it."
  []
  (.testBit (BigInteger. ^String (served/status "SigIgn") 16) 1))

(deftest signals
  (doseq [[signal code] (cond-> {"TERM" 143} (not (ignores-interrupts?)) (assoc "INT" 130))]
    (testing signal
      (with-open [jvm (child/start)]
        (let [masks #(child/evaluate jvm (list 'mapv 'status signal-masks))
              before (masks)
              port (child/evaluate jvm '(do (at-exit (fn [] (println "the hook has run") (flush))) (start)))]
          (with-open [load (load/start port 4)]
            (load/await-answers load 200)
            (is (= before (masks)) "the server handles no signal")
            (child/run "kill" "-QUIT" (child/pid jvm))
            (child/await-line jvm #"Full thread dump")
            (load/await-answers load (+ 200 (.get ^java.util.concurrent.atomic.AtomicLong (:answers load))))
            (child/run "kill" (str "-" signal) (child/pid jvm))
            (is (= code (child/await-exit jvm))))
          (child/await-line jvm #"the hook has run")
          (is (empty? (child/complaints jvm))))))))

(def ^:private endings
  "How a JVM ends under load: what it evaluates first, and what ends it."
  {"exit in a handler" ['(start) (fn [_ port] (raw/with-connection [connection port]
                                                (raw/write connection (raw/request "GET" "/exit"))
                                                (raw/read-rest connection)))]
   "exit in a handler on the engine's thread" ['(start {:dispatch :in-place})
                                               (fn [_ port] (raw/with-connection [connection port]
                                                              (raw/write connection (raw/request "GET" "/exit"))
                                                              (raw/read-rest connection)))]
   "exit with a hook that stops the server" ['(do (at-exit stop) (start)) (fn [jvm _] (child/tell jvm '(System/exit 7)))]
   "exit in main" ['(start) (fn [jvm _] (child/tell jvm '(System/exit 7)))]})

(deftest exits-under-load
  (doseq [round (range (child/counts 5 25))
          [ending [prepare end]] endings]
    (testing [round ending]
      (with-open [jvm (child/start)]
        (let [port (child/evaluate jvm prepare)]
          (with-open [load (load/start port 4)]
            (load/await-answers load 200)
            (end jvm port)
            (let [[millis code] (load/timed #(child/await-exit jvm))]
              (is (= 7 code))
              (is (> 3000 (long millis)))))
          (is (empty? (child/complaints jvm)) (take-last 20 (child/output jvm))))))))
