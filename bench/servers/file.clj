(ns file
  "Answers a file of 1 MiB, which stays in the page cache for the whole run."
  (:import (java.io File)
           (java.nio.file Files OpenOption)))

(set! *warn-on-reflection* true)

(def ^:private ^File content
  (doto (File/createTempFile "bench-file" ".bin")
    (.deleteOnExit)
    (as-> file (Files/write (.toPath ^File file)
                            ^bytes (byte-array (* 1024 1024) (byte 120))
                            ^"[Ljava.nio.file.OpenOption;" (make-array OpenOption 0)))))

(defn handler [_request]
  {:status  200
   :headers {"Content-Type" "application/octet-stream"}
   :body    content})
