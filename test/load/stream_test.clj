(ns load.stream-test
  "A body that is larger than the heap passes through it, whatever the pace of its client (docs/RELIABILITY.md, R10).

  By default 256 MiB; `-Dhttpkit-rs.full-counts=true` makes it 2 GiB."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [load.child :as memory]
            [load.endless :as endless])
  (:import (java.io InputStream)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(use-fixtures :each temporary/cleanup)

(def ^:private mebibyte (* 1024 1024))
(def ^:private mebibytes (long (child/counts 256 2048)))
;; Of these, each is taken when the server can send no more.
(def ^:private slow-mebibytes 32)
(def ^:private warm-up-mebibytes 8)
(def ^:private allowed-growth (* 32 (long mebibyte)))

;; Touched at the start: what the process grows by is native memory, and what is kept in the heap overflows it.
(def ^:private fixed-heap ["-Xms256m" "-Xmx256m" "-XX:+AlwaysPreTouch"])

(defn- take-mebibyte
  "Reads the mebibyte of that number; returns whether every byte is as it was made."
  [{:keys [^InputStream in]} ^bytes piece ^long number]
  (let [length (alength piece)]
    (every? (fn [^long position]
              (and (= length (.readNBytes in piece 0 length))
                   (endless/as-made? piece length position)))
            (range (* number (long mebibyte)) (* (inc number) (long mebibyte)) length))))

(defn- read-body
  "Reads a body and calls `before` with the number of each mebibyte. Returns the most memory that the process occupied
  meanwhile."
  [jvm port mebibytes before]
  (raw/with-connection [connection port]
    (raw/write connection (raw/request "GET" (str "/?" (* (long mebibytes) (long mebibyte)))))
    (is (= 200 (:status (raw/read-head connection))))
    (let [piece (byte-array 65536)]
      (reduce (fn [^long most number]
                (before number)
                (when-not (take-mebibyte connection piece number)
                  (throw (ex-info "Not what was made" {:mebibyte number})))
                (max most (memory/resident-bytes jvm)))
              0 (range mebibytes)))))

(deftest a-body-larger-than-the-heap
  (if (.exists (io/file "/proc/self/status"))
    (with-open [jvm (child/start :options fixed-heap)]
      (let [port (child/evaluate jvm '(do (require 'load.endless)
                                          (defn held-back? []
                                            (raw/await-true #(pos? (:bytes-pending (server/server-stats (first @servers))))))
                                          (start load.endless/handler {})))
            await-held-back (fn [^long number]
                              (when (< number (long slow-mebibytes))
                                (is (child/evaluate jvm '(held-back?)))))
            usual (long (read-body jvm port warm-up-mebibytes identity))
            most (long (read-body jvm port mebibytes await-held-back))]
        (is (<= (- most usual) (long allowed-growth)))
        (is (empty? (child/complaints jvm)))))
    (skip "memory of a process is read from /proc")))
