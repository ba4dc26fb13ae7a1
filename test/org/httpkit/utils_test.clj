(ns org.httpkit.utils-test
  "Worker pools and their threads."
  (:require [clojure.test :refer [are deftest is testing]]
            [org.httpkit.server :as server]
            [org.httpkit.utils :as utils])
  (:import (java.util.concurrent ArrayBlockingQueue ExecutorService LinkedBlockingQueue RejectedExecutionException
                                 ThreadPoolExecutor)
           (org.httpkit PrefixThreadFactory)))

(def ^:private processors (.availableProcessors (Runtime/getRuntime)))

(defn- worker
  "Returns new-worker's map for platform threads; the pool is shut down, which leaves it readable."
  [options]
  (let [worker (server/new-worker (assoc options :allow-virtual? false))]
    (.shutdown ^ExecutorService (:pool worker))
    worker))

(deftest prefix-thread-factory
  (let [factory (PrefixThreadFactory. "worker-")
        threads (repeatedly 2 #(.newThread factory (fn [])))]
    (is (= ["worker-1" "worker-2"] (map #(.getName ^Thread %) threads)))
    (is (every? #(.isDaemon ^Thread %) threads))))

(deftest default-worker
  (let [{:keys [pool queue] :as worker} (worker {})]
    (is (= {:type :fixed
            :n-cores processors
            :n-min-threads (max 2 processors)
            :n-max-threads (max 2 (* 16 processors))
            :queue-type nil
            :queue-size 20480}
           (dissoc worker :pool :queue)))
    (is (instance? ArrayBlockingQueue queue))
    (is (= 20480 (.remainingCapacity ^ArrayBlockingQueue queue)))
    (is (= (max 2 (* 16 processors)) (.getMaximumPoolSize ^ThreadPoolExecutor pool))))
  (is (map? (server/new-worker nil))))

(deftest worker-options
  (are [expected options] (= expected ((juxt :n-min-threads :n-max-threads :queue-size :queue-type) (worker options)))
    [3 3 20480 nil] {:n-threads 3}
    [4 4 20480 nil] {:thread 4}
    [3 3 20480 nil] {:thread 4 :n-threads 3}
    [1 5 7 :linked] {:n-min-threads 1 :n-max-threads 5 :queue-size 7 :queue-type :linked}
    [2 9 20480 nil] {:n-threads 2 :n-max-threads 9})
  (is (instance? LinkedBlockingQueue (:queue (worker {:queue-type :linked}))))
  (testing "names that cannot work name their option"
    (are [option options] (thrown-with-msg? IllegalArgumentException (re-pattern (str option)) (worker options))
      :thread {:thread 0}
      :n-threads {:n-threads 0}
      :n-max-threads {:n-min-threads 3 :n-max-threads 2}
      :queue-size {:queue-size 0}
      :queue-type {:queue-type :stack})))

(defn- thread-of
  "Returns the thread that runs a task of a new worker with these options."
  ^Thread [options]
  (let [^ThreadPoolExecutor pool (:pool (server/new-worker (assoc options :allow-virtual? false)))
        thread (promise)]
    (.execute pool #(deliver thread (Thread/currentThread)))
    (.shutdown pool)
    @thread))

(deftest threads-of-a-worker
  (are [name options] (= name (.getName (thread-of options)))
    "http-kit-server-worker-1" {}
    "mine-1" {:prefix "mine-"}
    "old-1" {:worker-name-prefix "old-"})
  (is (.isDaemon (thread-of {}))))

(deftest full-queue
  (let [^ThreadPoolExecutor pool (:pool (server/new-worker {:thread 1 :queue-size 1 :allow-virtual? false}))
        gate (promise)]
    (dotimes [_ 2] (.execute pool #(deref gate)))
    (is (thrown? RejectedExecutionException (.execute pool (fn []))))
    (deliver gate nil)
    (.shutdown pool)))

(deftest virtual-threads
  (let [{:keys [type pool n-cores]} (server/new-worker {:thread 1})]
    (.shutdown ^ExecutorService pool)
    (is (= processors n-cores))
    (is (= (utils/java-version>= 21) (utils/have-virtual-threads?) (= :virtual type)))))

(deftest java-version
  (is (utils/java-version>= 11))
  (is (not (utils/java-version>= 1000))))

(deftest compile-if
  (is (= 1 (utils/compile-if (Class/forName "java.lang.String") 1 (no.such/thing))))
  (is (= 2 (utils/compile-if (Class/forName "no.such.Class") (no.such/thing) 2)))
  (is (= 2 (utils/compile-if false 1 2))))
