(ns upload
  "Reads the whole request body and answers the number of bytes read."
  (:import (java.io InputStream)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- count-bytes
  "Reads `body` to its end in pieces of 8 KiB, as a copying application would."
  ^long [^InputStream body]
  (let [buffer (byte-array 8192)]
    (loop [total 0]
      (let [count (.read body buffer)]
        (if (neg? count)
          total
          (recur (+ total count)))))))

(defn handler [{:keys [body]}]
  {:status  200
   :headers {"Content-Type" "text/plain"}
   :body    (Long/toString (if body (count-bytes body) 0))})
