(ns org.httpkit.utils
  "Worker pools, and what this JVM can do.

  http-kit's own client requires this namespace too, so everything it uses is here under http-kit's names."
  (:require [org.httpkit.engine.check :as check])
  (:import (java.util.concurrent ArrayBlockingQueue BlockingQueue ExecutorService LinkedBlockingQueue
                                 ThreadPoolExecutor TimeUnit)
           (org.httpkit PrefixThreadFactory)
           (org.httpkit.engine VirtualThreads)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn java-version>=
  "Returns true if the JVM's major version (8, 11, 17 ...) is at least `n`."
  [n]
  (>= (.feature (Runtime/version)) (long n)))

(defmacro compile-if
  "Expands to `then` if `test`, evaluated at compile time, is true and does not throw; otherwise to `else`."
  {:style/indent 1}
  [test then else]
  (if (try (eval test) (catch Throwable _ false))
    then
    else))

(defn have-virtual-threads?
  "Returns true if the JVM has virtual threads (21 and newer)."
  []
  (VirtualThreads/areAvailable))

(defn- thread-count
  "Returns `factor` threads for each processor, at least 2."
  ^long [^long processors factor]
  (max 2 (Math/round (* processors (double factor)))))

(defn- new-queue ^BlockingQueue [queue-type queue-size]
  (case queue-type
    :array (ArrayBlockingQueue. (int queue-size))
    :linked (if queue-size
              (LinkedBlockingQueue. (int queue-size))
              (LinkedBlockingQueue.))
    (throw (IllegalArgumentException.
            (str "No matching clause: " queue-type " (:queue-type must be :array or :linked)")))))

(defn- size
  "Returns the option as a long of at least `minimum` that fits an int, or nil if it is not there."
  [options option minimum]
  (when-let [value (get options option)]
    (check/whole option value [minimum Integer/MAX_VALUE])))

(defn- threads
  "Returns the option, or else the one for both numbers of threads, or nil."
  [options option minimum]
  (or (size options option minimum) (size options :n-threads 1) (size options :thread 1)))

(defn- text
  "Returns the option, which is a string, or nil if it is not there."
  [options option]
  (when-let [value (get options option)]
    (when-not (string? value)
      (check/wrong-class option "a string" value))
    value))

(defn- new-fixed-worker
  [{:keys [default-queue-type default-queue-size default-prefix
           n-min-threads-factor n-max-threads-factor keep-alive-msecs]
    :or {default-queue-type :array
         default-prefix "http-kit-worker-"
         n-min-threads-factor 1
         n-max-threads-factor 1
         keep-alive-msecs 0}}
   {:keys [queue-type] :as options}]
  (let [prefix (or (text options :prefix) (text options :worker-name-prefix) default-prefix)
        processors (.availableProcessors (Runtime/getRuntime))
        minimum (long (or (threads options :n-min-threads 0) (thread-count processors n-min-threads-factor)))
        maximum (long (or (threads options :n-max-threads 1) (thread-count processors n-max-threads-factor)))
        queue-size (or (size options :queue-size 1) default-queue-size)
        _ (when (< maximum minimum)
            (check/refuse :n-min-threads (str "at most :n-max-threads, which is " maximum) minimum))
        queue (new-queue (or queue-type default-queue-type) queue-size)]
    {:type :fixed
     :n-cores processors
     :n-min-threads minimum
     :n-max-threads maximum
     :queue-type queue-type
     :queue-size queue-size
     :queue queue
     :pool (ThreadPoolExecutor. (int minimum) (int maximum) (long (or keep-alive-msecs 0)) TimeUnit/MILLISECONDS queue
                                (PrefixThreadFactory. prefix))}))

(defn new-worker
  "Returns a map whose `:pool` is a new `ExecutorService`; the other keys describe it.

  On a JVM with virtual threads the pool starts one for each task, and only `:allow-virtual?` is looked at. Otherwise it
  has a bounded queue, and grows beyond its least number of threads only when the queue is full.

  Defaults (first argument):
    :default-queue-type   - :array or :linked (default :array)
    :default-queue-size   - tasks that may wait (default: any number, for :linked only)
    :default-prefix       - of the threads' names (default \"http-kit-worker-\")
    :n-min-threads-factor - least number of threads by processor (default 1)
    :n-max-threads-factor - largest number of threads by processor (default 1)
    :keep-alive-msecs     - how long threads above the least number wait for work (default 0)

  Options (second argument):
    :n-threads            - both numbers of threads (alias :thread)
    :n-min-threads        - least number of threads
    :n-max-threads        - largest number of threads
    :queue-type           - :array or :linked
    :queue-size           - tasks that may wait
    :prefix               - of the threads' names (alias :worker-name-prefix)
    :allow-virtual?       - whether virtual threads may be used (default true)"
  [defaults {:keys [allow-virtual?] :or {allow-virtual? true} :as options}]
  (if (and allow-virtual? (have-virtual-threads?))
    {:type :virtual
     :n-cores (.availableProcessors (Runtime/getRuntime))
     :pool ^ExecutorService (VirtualThreads/newExecutor)}
    (new-fixed-worker defaults options)))
