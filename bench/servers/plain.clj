(ns plain
  "The smallest useful answer, the same one as bench/hyper.")

(def ^:private response
  {:status 200 :headers {"Content-Type" "text/plain"} :body "Hello, World!"})

(defn handler [_request] response)
