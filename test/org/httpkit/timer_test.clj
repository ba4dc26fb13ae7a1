(ns org.httpkit.timer-test
  "What is scheduled runs once, in order, on one thread; or not at all, and whoever cancelled it knows."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.printed :refer [printed]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.timer :as timer :refer [cancel schedule-task with-timeout]])
  (:import (java.util.concurrent CountDownLatch)
           (org.httpkit.timer CancelableFutureTask TimerService)))

(def ^:private never Integer/MAX_VALUE)

(defn- service
  "Returns a timer of its own whose thread ends after that long without a task."
  ^TimerService [idle-millis]
  (let [constructor (.getDeclaredConstructor TimerService (into-array Class [Long/TYPE]))]
    (.setAccessible constructor true)
    (.newInstance constructor (object-array [idle-millis]))))

(defmacro ^:private result
  "Returns what the body evaluates to on the timer's thread."
  [& body]
  `(let [value# (promise)]
     (schedule-task 0 (deliver value# (do ~@body)))
     (raw/await-value value#)))

(defmacro ^:private while-busy
  "Evaluates the body while a task keeps the timer's thread from everything else."
  [& body]
  `(let [started# (promise)
         gate# (CountDownLatch. 1)]
     (schedule-task 0 (deliver started# true) (raw/await-latch gate#))
     (raw/await-value started#)
     (try ~@body (finally (.countDown gate#)))))

(defn- await-state
  "Returns true once the thread is in the state."
  [^Thread thread state]
  (raw/await-true #(= state (.getState thread))))

(deftest delays
  (testing "not before it is due"
    (let [ran (promise)
          ^CancelableFutureTask task (schedule-task 30 (deliver ran (System/currentTimeMillis)))]
      (is (<= (.timeoutTs task) (raw/await-value ran)))))
  (testing "any number of milliseconds, as soon as possible for 0 or less"
    (doseq [millis [0 -1 Integer/MIN_VALUE 1.9 3/2 2N 1M (byte 1)]]
      (let [ran (promise)]
        (schedule-task millis (deliver ran true))
        (is (true? (raw/await-value ran)) (str millis)))))
  (testing "within the range of int"
    (is (true? (cancel (schedule-task Integer/MAX_VALUE))))
    (doseq [millis [2147483648 -2147483649 3e9]]
      (is (thrown-with-msg? RuntimeException #"out of range|overflow" (schedule-task millis)))))
  (is (thrown? NullPointerException (schedule-task (identity nil)))))

(def ^:dynamic ^:private *conveyed* :root)

(deftest the-thread
  (let [^Thread thread (result (Thread/currentThread))]
    (is (= "timer-service" (.getName thread)))
    (is (= thread (result (Thread/currentThread)))))
  (testing "is no daemon, whatever the thread that starts it"
    (let [daemon? (promise)
          start #(.scheduleTask (service 1) 0 (fn [] (deliver daemon? (.isDaemon (Thread/currentThread)))))]
      (doto (Thread. ^Runnable start) (.setDaemon true) (.start))
      (is (false? (raw/await-value daemon?)))))
  (testing "knows nothing of the caller's bindings"
    (is (= :root (binding [*conveyed* :bound] (result *conveyed*))))))

(deftest one-after-the-other-by-due-time
  (let [order (atom [])
        last-one (promise)]
    (while-busy
      (schedule-task -1000 (swap! order conj :second))
      (schedule-task 0 (swap! order conj :fourth) (deliver last-one true))
      (schedule-task -500 (swap! order conj :third))
      (schedule-task -2000 (swap! order conj :first))
      (is (= [] @order) "a slow task delays the rest"))
    (raw/await-value last-one)
    (is (= [:first :second :third :fourth] @order)))
  (testing "however far apart"
    (let [^CancelableFutureTask soon (schedule-task Integer/MIN_VALUE)
          ^CancelableFutureTask late (schedule-task never)]
      (is (neg? (.compareTo soon late)))
      (is (pos? (.compareTo late soon)))
      (cancel late))))

(deftest an-earlier-task-wakes-the-thread
  (let [thread (result (Thread/currentThread))
        late (schedule-task never)]
    (is (await-state thread Thread$State/TIMED_WAITING))
    (is (= thread (result (Thread/currentThread))))
    (is (true? (cancel late)))))

(deftest throwables-do-not-end-it
  (let [tasks (atom [])
        text (printed
              #(doseq [error [(Exception. "an exception") (AssertionError. "an error") (StackOverflowError.)
                              (proxy [RuntimeException] [] (printStackTrace [_] (throw (Error.))))]]
                 (swap! tasks conj (schedule-task 0 (throw error)))
                 (is (= :alive (result :alive)))))]
    (is (string/includes? text (str "[timer-service] ERROR - In timer: " (first @tasks))))
    (is (string/includes? text "java.lang.Exception: an exception"))
    (is (string/includes? text "java.lang.AssertionError: an error"))
    (is (re-find #"\n\s+at org\.httpkit\.timer_test" text))))

(deftest an-interrupt-does-not-end-it
  (let [thread (result (Thread/currentThread))
        late (schedule-task never)]
    (is (= thread (result (.interrupt (Thread/currentThread)) (Thread/currentThread))))
    (is (await-state thread Thread$State/TIMED_WAITING))
    (is (= :alive (result :alive)))
    (is (true? (cancel late)))))

(deftest cancelling
  (testing "before it runs"
    (let [ran (atom #{})
          [first-one second-one] (while-busy
                                   (let [tasks [(schedule-task -2 (swap! ran conj 1)) (schedule-task -1 (swap! ran conj 2))]]
                                     (is (= [true false] [(cancel (first tasks)) (cancel (first tasks))]))
                                     tasks))]
      (is (= :next (result :next)))
      (is (= #{2} @ran))
      (is (= [false false] [(cancel first-one) (cancel second-one)]))))
  (testing "while it runs"
    (let [task (promise)
          cancelled (promise)]
      (deliver task (schedule-task 0 (deliver cancelled (cancel (raw/await-value task)))))
      (is (false? (raw/await-value cancelled)))))
  (testing "out of the middle of the others"
    (let [tasks (vec (for [n (range 100)] (schedule-task (- never n))))
          pending #(Long/parseLong (re-find #"\d+" (str TimerService/SERVICE)))
          before (pending)]
      (is (every? true? (map cancel (take-nth 2 tasks))))
      (is (= (- before 50) (pending)))
      (is (= 50 (count (filter cancel tasks))))
      (is (= (- before 100) (pending))))))

(deftest descriptions
  (let [before (System/currentTimeMillis)
        ^CancelableFutureTask task (schedule-task 500000)
        after (System/currentTimeMillis)]
    (is (<= (+ before 500000) (.timeoutTs task) (+ after 500000)))
    (is (re-matches #"timeout=500000ms, due in (500000|4\d{5})ms" (str task)))
    (cancel task)
    (is (= "timeout=500000ms, done or canceled" (str task))))
  (is (= "pending=0, thread started:false" (str (service 1)))))

(deftest with-timeouts
  (testing "a call in time"
    (let [timed-out (atom false)]
      (is (= "a1" (with-timeout str never (reset! timed-out true) (str "a" 1))))
      (is (= "" (with-timeout str never (reset! timed-out true) (str))))
      (let [respond vector]
        (is (= [[1 2] nil] (with-timeout respond never (reset! timed-out true) [(respond 1 2) (respond 3)]))
            "the second call finds nothing to cancel"))
      (is (false? @timed-out))))
  (testing "a call after the timeout"
    (let [timed-out (promise)
          called (atom false)
          respond (fn [& _] (reset! called true))]
      (is (nil? (with-timeout respond 0 (deliver timed-out :timeout)
                  (is (= :timeout (raw/await-value timed-out)))
                  (respond 1))))
      (is (false? @called))))
  (testing "the timeout form sees the function itself"
    (let [answer (promise)
          respond (partial deliver answer)]
      (with-timeout respond 0 (respond :timeout))
      (is (= :timeout (raw/await-value answer))))))

(deftest the-thread-ends-and-another-begins
  (testing "once nothing is scheduled any more"
    (let [timer (service 1)
          threads (for [_ (range 20)]
                    (let [thread (promise)]
                      (.scheduleTask timer 0 #(deliver thread (Thread/currentThread)))
                      (doto ^Thread (raw/await-value thread) (.join raw/patience-millis))))]
      (is (every? #(not (.isAlive ^Thread %)) threads))
      (is (= 20 (count (distinct threads))))
      (is (= "pending=0, thread started:false" (str timer)))))
  (testing "also when the last task is cancelled"
    (let [timer (service 1)
          thread (promise)
          task (.scheduleTask timer never (fn []))]
      (.scheduleTask timer 0 #(deliver thread (Thread/currentThread)))
      (is (await-state (raw/await-value thread) Thread$State/TIMED_WAITING))
      (is (true? (cancel task)))
      (.join ^Thread @thread raw/patience-millis)
      (is (not (.isAlive ^Thread @thread)))))
  (testing "and not while a task waits"
    (let [timer (service 1)
          thread (promise)
          second-thread (promise)
          task (.scheduleTask timer never (fn []))]
      (.scheduleTask timer 20 #(deliver thread (Thread/currentThread)))
      (is (raw/await-value thread))
      (.scheduleTask timer 20 #(deliver second-thread (Thread/currentThread)))
      (is (= @thread (raw/await-value second-thread)))
      (cancel task))))

(deftest no-task-is-lost-or-run-twice
  (testing "when the thread is about to end"
    (let [timer (service 0)]
      (dotimes [_ 500]
        (let [ran (promise)]
          (.scheduleTask timer 0 #(deliver ran true))
          (is (true? (raw/await-value ran)))))))
  (testing "when it is cancelled as it becomes due"
    (let [timer (service 1)
          ran (atom 0)
          cancelled (atom 0)
          left (CountDownLatch. 2000)
          worker (fn []
                   (dotimes [n 500]
                     (let [task (.scheduleTask timer (int (rem n 3)) (fn [] (swap! ran inc) (.countDown left)))]
                       (when (cancel task)
                         (swap! cancelled inc)
                         (.countDown left)))))]
      (run! raw/await-value (doall (repeatedly 4 #(future (worker) :done))))
      (is (raw/await-latch left))
      (is (= 2000 (+ @ran @cancelled))))))
