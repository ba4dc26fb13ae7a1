(ns org.httpkit.bytes-input-stream-test
  "The contract of the class of request bodies."
  (:require [clojure.test :refer [deftest is testing]])
  (:import (org.httpkit BytesInputStream)))

(defn- stream ^BytesInputStream [^String text]
  (BytesInputStream. (.getBytes text) (.length text)))

(deftest reading
  (let [body (stream "abc")]
    (is (= 3 (.available body)))
    (is (= (int \a) (.read body)))
    (is (= 2 (.available body)))
    (is (= "bc" (slurp body)))
    (is (= -1 (.read body)))
    (is (= 0 (.available body))))
  (testing "bytes are unsigned"
    (is (= 255 (.read (BytesInputStream. (byte-array [-1]) 1)))))
  (testing "only the given length"
    (is (= "ab" (slurp (BytesInputStream. (.getBytes "abc") 2))))))

(deftest reading-into-an-array
  (let [body (stream "abcde")
        target (byte-array 4)]
    (is (= 0 (.read body target 0 0)))
    (is (= 2 (.read body target 1 2)))
    (is (= [0 97 98 0] (seq target)))
    (is (= 3 (.read body target)))
    (is (= -1 (.read body target)))
    (testing "0 for no bytes, also at the end"
      (is (= 0 (.read body target 0 0))))
    (is (thrown? NullPointerException (.read body nil 0 1)))
    (doseq [[offset length] [[-1 1] [0 -1] [0 5] [4 1] [Integer/MAX_VALUE 1]]]
      (is (thrown? IndexOutOfBoundsException (.read body target offset length))))))

(deftest going-back
  (let [body (stream "abc")]
    (is (.markSupported body))
    (slurp body)
    (testing "reset without mark goes to the start"
      (.reset body)
      (is (= "abc" (slurp body))))
    (.reset body)
    (is (= 1 (.skip body 1)))
    (.mark body 0)
    (is (= 2 (.skip body 10)))
    (is (= 0 (.skip body -1)))
    (.reset body)
    (is (= "bc" (slurp body)))))

(deftest whole-content
  (let [body (stream "abc")]
    (slurp body)
    (is (= "abc" (String. (.bytes body))))
    (is (not (identical? (.bytes body) (.bytes body))))
    (is (= 3 (.getCount body)))
    (is (= "BytesInputStream[len=3]" (str body))))
  (is (thrown? IndexOutOfBoundsException (BytesInputStream. (byte-array 1) 2)))
  (is (thrown? IndexOutOfBoundsException (BytesInputStream. (byte-array 1) -1))))
