(ns file
  "Answers a file, which stays in the page cache for the whole run: one of 16 KiB at /file/small, else one of 1 MiB."
  (:import (java.io File)
           (java.nio.file Files OpenOption)))

(set! *warn-on-reflection* true)

(defn- file-of ^File [length]
  (doto (File/createTempFile "bench-file" ".bin")
    (.deleteOnExit)
    (as-> file (Files/write (.toPath ^File file)
                            ^bytes (byte-array length (byte 120))
                            ^"[Ljava.nio.file.OpenOption;" (make-array OpenOption 0)))))

(def ^:private small (file-of (* 16 1024)))
(def ^:private large (file-of (* 1024 1024)))

(defn handler [request]
  {:status  200
   :headers {"Content-Type" "application/octet-stream"}
   :body    (if (= (:uri request) "/file/small") small large)})
