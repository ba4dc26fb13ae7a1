(ns httpkit-rs.runner
  "Runs every test namespace in one JVM and exits with the verdict.

  Counts test functions, not assertions. A test that hangs ends the run, its child processes too, with the stacks of all
  threads, since a server's deadlock shows nothing else."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :as test]
            [httpkit-rs.skip])
  (:import (java.io File)
           (java.lang ProcessHandle)
           (java.lang.management ManagementFactory)
           (java.util.concurrent TimeUnit)))

(def ^:private hang-millis
  "No test of this suite needs a tenth of it, even under -Xcheck:jni on a busy machine; with full counts some need more."
  (if (Boolean/getBoolean "httpkit-rs.full-counts") 3600000 180000))

(defn- test-namespaces
  "Returns the names of the namespaces in files called *_test.clj below `directory`, sorted, less those that match the
  system property httpkit-rs.leave-out, a regular expression."
  [^File directory]
  (let [root (.toPath directory)
        left-out (re-pattern (System/getProperty "httpkit-rs.leave-out" ""))]
    (sort
     (for [^File file (file-seq directory)
           :when (string/ends-with? (.getName file) "_test.clj")
           :let [name (-> (str (.relativize root (.toPath file)))
                          (string/replace #"\.clj$" "")
                          (string/replace File/separator ".")
                          (string/replace "_" "-"))]
           :when (not (re-matches left-out name))]
       (symbol name)))))

(defn- stacks []
  (string/join (.dumpAllThreads (ManagementFactory/getThreadMXBean) true true)))

(defn- watch
  "Ends the JVM when `progress`, an atom of [description, nanosecond], stands still for too long."
  [progress]
  (doto (Thread.
         ^Runnable
         (fn []
           (Thread/sleep 1000)
           (let [[running since] @progress]
             (when (> (- (System/nanoTime) (long since)) (.toNanos TimeUnit/MILLISECONDS hang-millis))
               (println (stacks))
               (println "HUNG:" running)
               (flush)
               (run! (fn [^ProcessHandle child] (.destroyForcibly child))
                     (iterator-seq (.iterator (.descendants (ProcessHandle/current)))))
               (.halt (Runtime/getRuntime) 2)))
           (recur))
         "test-watch")
    (.setDaemon true)
    (.start)))

(defn- bad [] (+ (:fail @test/*report-counters* 0) (:error @test/*report-counters* 0)))
(defn- skipped [] (:skip @test/*report-counters* 0))

(defn- reporter
  "Wraps clojure.test's `report` to count test functions in the atom `counts` and to note progress."
  [report counts progress]
  (let [before (atom nil)]
    (fn [{:keys [type] :as event}]
      (case type
        :begin-test-var (do (reset! before [(bad) (skipped)])
                            (reset! progress [(:var event) (System/nanoTime)]))
        :end-test-var (let [[bad-before skipped-before] @before]
                        (swap! counts update
                               (cond (> (bad) bad-before) :failed
                                     (> (skipped) skipped-before) :skipped
                                     :else :passed)
                               inc))
        nil)
      (report event))))

(defn- load-or-report
  "Loads the namespace; returns its name, or nil after printing why it cannot be loaded."
  [name]
  (try
    (require name)
    name
    (catch Throwable e
      (println "\nFAILED to load" name)
      (.printStackTrace e (java.io.PrintWriter. *out* true))
      nil)))

(defn run
  "Runs the namespaces and returns {:passed n :failed n :skipped n}."
  [names]
  (let [progress (atom ["loading" (System/nanoTime)])
        counts (atom {:passed 0 :failed 0 :skipped 0})
        _ (watch progress)
        loaded (mapv load-or-report names)]
    (swap! counts update :failed + (count (filter nil? loaded)))
    (binding [test/report (reporter test/report counts progress)]
      (let [summary (apply test/run-tests (filter some? loaded))]
        ;; A fixture that fails does so outside any test function.
        (if (and (zero? (long (:failed @counts))) (not (test/successful? summary)))
          (update @counts :failed inc)
          @counts)))))

(defn -main
  "Runs the named namespaces, or all below test/. The last line is for scripts/test."
  [& names]
  (let [names (if (seq names) (map symbol names) (test-namespaces (io/file "test")))
        {:keys [passed failed skipped]} (run names)]
    (println (str "clojure.test: passed=" passed " failed=" failed " skipped=" skipped))
    (flush)
    (shutdown-agents)
    (System/exit (if (and (zero? failed) (pos? passed)) 0 1))))
