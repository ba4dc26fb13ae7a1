(ns load.endless
  "Bodies of any length, made while they are read, in which a piece that is lost, doubled or moved shows."
  (:import (java.io InputStream)
           (java.util Arrays)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

;; A prime: what is as long as a power of two never begins where another such piece does.
(def ^:private period 251)
(def ^:private most-at-once 65536)

(def ^:private pattern
  (byte-array (map #(unchecked-byte (rem (long %) (long period))) (range (+ (long period) (long most-at-once))))))

(defn- stream
  "Returns a stream of so many bytes, for one thread at a time."
  ^InputStream [^long total]
  (let [^longs position (long-array 1)
        give (fn [^bytes target offset wanted]
               (let [given (aget position 0)
                     length (min (long wanted) (long most-at-once) (- total given))]
                 (if (pos? length)
                   (do (System/arraycopy pattern (rem given (long period)) target (int offset) length)
                       (aset position 0 (+ given length))
                       (int length))
                   (int -1))))]
    (proxy [InputStream] []
      (read
        ([] (let [one (byte-array 1)]
              (if (neg? (int (give one 0 1))) (int -1) (int (Byte/toUnsignedInt (aget one 0))))))
        ([target] (give target 0 (alength ^bytes target)))
        ([target offset length] (give target offset length))))))

(defn handler
  "Answers with a stream as long as the query string says."
  [{:keys [query-string]}]
  {:headers {"Content-Length" query-string} :body (stream (Long/parseLong query-string))})

(defn as-made?
  "Whether these are `length` bytes, 65536 at most, at `position` of a body."
  [^bytes bytes ^long length ^long position]
  (let [from (rem position (long period))]
    (Arrays/equals bytes 0 (int length) ^bytes pattern (int from) (int (+ from length)))))
