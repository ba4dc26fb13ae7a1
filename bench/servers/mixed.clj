(ns mixed
  "The answer of plain.clj, but on /slow only after the thread has slept for 50 ms.")

(set! *warn-on-reflection* true)

(def ^:private response
  {:status 200 :headers {"Content-Type" "text/plain"} :body "Hello, World!"})

(defn handler [{:keys [uri]}]
  (when (= uri "/slow")
    (Thread/sleep 50))
  response)
