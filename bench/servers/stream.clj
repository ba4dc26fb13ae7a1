(ns stream
  "Answers 1 MiB as an InputStream, whose length the server cannot know beforehand."
  (:import (java.io ByteArrayInputStream)))

(set! *warn-on-reflection* true)

(def ^:private ^bytes content (byte-array (* 1024 1024) (byte 120)))

(defn handler [_request]
  {:status  200
   :headers {"Content-Type" "application/octet-stream"}
   :body    (ByteArrayInputStream. content)})
