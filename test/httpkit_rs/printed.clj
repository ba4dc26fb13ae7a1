(ns httpkit-rs.printed
  "What is printed to the standard error stream."
  (:import (java.io ByteArrayOutputStream PrintStream)))

(defn printed
  "Returns what is printed while `f` runs."
  [f]
  (let [before System/err
        bytes (ByteArrayOutputStream.)]
    (System/setErr (PrintStream. bytes true))
    (try (f) (finally (System/setErr before)))
    (str bytes)))
