(ns httpkit-rs.temporary
  "Files and directories that are gone after the test that asked for them."
  (:require [clojure.java.io :as io])
  (:import (java.io File)
           (java.nio.file Files)
           (java.nio.file.attribute FileAttribute)))

(def ^:private ^:dynamic *root* nil)

(defn directory
  "Returns a new empty directory that only this user may enter."
  ^File []
  (.toFile (Files/createTempDirectory (.toPath ^File *root*) "d" (make-array FileAttribute 0))))

(defn file
  "Returns a new file with the text as its content."
  ^File [text]
  (doto (io/file (directory) "file") (spit text)))

(defn cleanup
  "Fixture: what `test` creates through this namespace is deleted after it."
  [test]
  (binding [*root* (.toFile (Files/createTempDirectory "httpkit-rs-test" (make-array FileAttribute 0)))]
    (try
      (test)
      (finally
        (run! io/delete-file (reverse (file-seq *root*)))))))
