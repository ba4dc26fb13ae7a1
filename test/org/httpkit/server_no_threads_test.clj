(ns org.httpkit.server-no-threads-test
  "A machine that has no more threads to give, for a moment: what is refused then, what is owed, and that all is well afterwards."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.barred :as barred]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent LinkedBlockingQueue ThreadPoolExecutor TimeUnit)))

(set! *warn-on-reflection* true)

(defn- wait-a-little
  "A handler slow enough to run on the pool."
  [_]
  (.poll (LinkedBlockingQueue.) 1 TimeUnit/MILLISECONDS)
  {:body "waited"})

(deftest requests-are-served-again
  (testing "after they were refused for want of a thread, and count as neither running nor waiting"
    (let [barred? (atom false)
          new-worker server/new-worker
          worker (fn [options]
                   (let [{:keys [^ThreadPoolExecutor pool] :as made} (new-worker options)]
                     (.setThreadFactory pool (barred/factory barred?))
                     made))]
      (with-redefs [server/new-worker worker]
        (raw/with-server [port wait-a-little (merge (raw/quiet) {:thread 2 :queue-size 1 :allow-virtual? false})]
          (let [status #(:status (raw/fetch port "GET" "/"))]
            (reset! barred? true)
            (is (= 10 (count (take 10 (filter #{503} (repeatedly 100 status))))))
            (reset! barred? false)
            (is (= (repeat 10 200) (repeatedly 10 status)))))))))
