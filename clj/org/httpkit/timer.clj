(ns org.httpkit.timer
  "Timeouts: forms evaluated later, unless they are cancelled before.

  All run one after the other on one thread, `timer-service`, so a slow one delays the others: let it hand long work
  to another thread. The thread starts with the first task, is no daemon, and ends after 2 minutes without a task.
  Scheduling takes O(log n) for n tasks that wait, cancelling O(n)."
  (:import (org.httpkit.timer CancelableFutureTask TimerService)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn cancel
  "Returns true if this call is what keeps the task from running; false if it ran, runs, or was cancelled before."
  [^CancelableFutureTask task]
  (.cancel task))

(defmacro schedule-task
  "Evaluates `body` in `ms` milliseconds, at once for 0 or less, on the timer's thread. Returns a task for `cancel`.

    (let [task (schedule-task 800 (println \"too late\"))]
      (when (cancel task)
        (println \"in time\")))"
  {:style/indent 1}
  [ms & body]
  `(.scheduleTask TimerService/SERVICE ~ms (fn [] ~@body)))

(defmacro with-timeout
  "Evaluates `timeout-form` in `ms` milliseconds unless the function `f` is called before. In `body` the name `f` stands
  for a function that cancels the timeout and passes its arguments on to `f`; after the timeout it returns nil instead.

    (with-timeout respond 800 (respond {:status 504})
      (future (respond (slow-answer))))"
  {:style/indent 3}
  [f ms timeout-form & body]
  `(let [timeout-task# (schedule-task ~ms ~timeout-form)
         ~f (fn [& arguments#]
              (when (cancel timeout-task#)
                (apply ~f arguments#)))]
     ~@body))
