(ns httpkit-rs.skip
  "A test that cannot run on this machine says so: it is counted as skipped, neither passed nor failed."
  (:require [clojure.test :as test]))

(defmethod test/report ::skipped [{:keys [reason]}]
  (test/with-test-out
    (test/inc-report-counter :skip)
    (println "\nSKIPPED in" (test/testing-vars-str {}) "-" reason)))

(defn skip
  "Reports the running test as skipped for `reason`. The test should do nothing else."
  [reason]
  (test/do-report {:type ::skipped :reason reason}))
