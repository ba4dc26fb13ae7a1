(ns org.httpkit.engine.response-writer-test
  "Which statuses and headers of a Ring response reach the engine, and which are refused."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]])
  (:import (java.nio ByteBuffer ByteOrder)
           (java.util ArrayList LinkedHashMap)
           (org.httpkit.engine ResponseWriter)))

(defn- lines
  "Returns the header lines [name value] of a block with these headers."
  [headers]
  (let [writer (doto (ResponseWriter/acquire) (.head 200 headers) (.finishHead))
        block (doto (ByteBuffer/wrap (.block writer) 0 (.length writer)) (.order ByteOrder/LITTLE_ENDIAN))
        text (fn [length]
               (let [bytes (byte-array length)]
                 (.get block bytes)
                 (String. bytes "UTF-8")))
        header-count (.getShort block 4)]
    (.position block 20)
    (let [found (vec (repeatedly header-count #(let [name (text (.getShort block))]
                                                 [name (text (.getInt block))])))]
      (.release writer)
      (is (not (.hasRemaining block)))
      found)))

(deftest status
  (testing "every kind of integer, and 200 for nil"
    (are [expected given] (= expected (ResponseWriter/status given))
      200 nil, 404 404, 201 (int 201), 202 (short 202), 100 (byte 100), 203 203N, 204 (biginteger 204), 999 999))
  (testing "anything else is refused with http-kit's text"
    (doseq [bad [99 1000 0 -1 200.0 4294967496 18446744073709551816N]]
      (is (thrown-with-msg? IllegalArgumentException
                            (re-pattern (str "^Invalid HTTP status code: " bad "$"))
                            (ResponseWriter/status bad))))
    (doseq [bad ["200" :ok [200]]]
      (is (thrown-with-msg? IllegalArgumentException
                            (re-pattern (str "^Invalid HTTP status code: \\Q" bad " (" (.getName (class bad)) ")\\E$"))
                            (ResponseWriter/status bad))))))

(deftest maps
  (is (nil? (ResponseWriter/map "It" nil)))
  (is (= {} (ResponseWriter/map "It" {})))
  (is (thrown-with-msg? ClassCastException #"^It must be a map, got clojure\.lang\.PersistentVector$" (ResponseWriter/map "It" [])))
  (is (thrown-with-msg? ClassCastException #"^:headers of a response must be a map, got java\.lang\.String$" (lines "X: 1"))))

(deftest header-values
  (are [expected given] (= expected (lines given))
    [] nil
    [] {}
    [["A" "b"]] {"A" "b"}
    [["A" "1"] ["B" ":x"] ["C" "1.5"]] (array-map "A" 1 "B" :x "C" 1.5)
    [] {"A" nil}
    [["A" "1"] ["A" "2"]] {"A" ["1" 2]}
    [["A" "1"] ["A" "2"]] {"A" (map str [1 2])}
    [["A" "1"]] {"A" #{1}}
    [] {"A" []}
    [["A" ""]] {"A" ""}
    [["A" "a\tb"]] {"A" "a\tb"}
    [["A" "gr\u00fc\u00df \u20ac \ud83d\ude00"]] {"A" "gr\u00fc\u00df \u20ac \ud83d\ude00"}
    [["etag" "x"] ["ETAG" "y"]] (array-map "etag" "x" "ETAG" "y"))
  (testing "long values, in ASCII and not"
    (let [ascii (string/join (repeat 5000 "a"))
          other (string/join (repeat 5000 "\u00e4"))]
      (is (= [["A" ascii] ["B" other]] (lines (array-map "A" ascii "B" other))))))
  (testing "java.util.List is not a sequence of lines"
    (is (= [["A" "[1, 2]"]] (lines {"A" (ArrayList. [1 2])})))))

(deftest header-maps
  (testing "any java.util.Map, and any size"
    (is (= [["B" "1"] ["A" "2"]] (lines (doto (LinkedHashMap.) (.put "B" "1") (.put "A" "2")))))
    (is (= [["A" "1"] ["B" "2"]] (lines (sorted-map "B" "2" "A" "1"))))
    (is (= 300 (count (lines (into {} (for [i (range 300)] [(str "N" i) i])))))))
  (testing "anything else is refused"
    (doseq [bad ["x" 1 [["A" "b"]] #{}]]
      (is (thrown? ClassCastException (lines bad))))))

(def ^:private times
  "So often does a map come until a writer surely knows it."
  4)

(deftest maps-that-come-again
  (testing "become the same lines, however many there are of them"
    (let [many (fn [length] (into {} (for [i (range length)] [(str "N" i) (str i)])))
          maps (into [{"A" "b"} {"A" nil} (many 20) (many 300) {"Content-Length" "5" "A" "b"}]
                     (for [i (range 20)] {"A" (str i)}))
          once (mapv lines maps)]
      (dotimes [_ times]
        (doseq [[expected given] (map vector once maps)]
          (is (= expected (lines given)))))
      (doseq [[expected given] (map vector once maps)]
        (dotimes [_ times]
          (is (= expected (lines given)))))))
  (testing "unless they have changed"
    (let [value (StringBuilder.)
          java-map (LinkedHashMap.)]
      (doseq [i (range 1 (inc times))]
        (.append value "x")
        (.put java-map "A" (str i))
        (is (= [["A" (string/join (repeat i "x"))]] (lines {"A" value})))
        (is (= [["A" (str i)]] (lines java-map))))
      (let [constant {"A" value}]
        (doseq [i (range (inc times) (* 2 times))]
          (.append value "x")
          (is (= [["A" (string/join (repeat i "x"))]] (lines constant)))))))
  (testing "with what else they say"
    (let [headers {"Content-Length" "7" "Content-Type" "text/plain; charset=utf-16"}
          writer (ResponseWriter/acquire)]
      (.release writer)
      (dotimes [_ times]
        (let [writer (doto (ResponseWriter/acquire) (.head 200 headers))]
          (is (= [7 1 "UTF-16"] [(.handlerLength writer) (.headerCount writer) (str (.charset writer))]))
          (.head writer 200 {})
          (is (= [-1 0 "UTF-8"] [(.handlerLength writer) (.headerCount writer) (str (.charset writer))]))
          (.release writer))))))

(deftest invalid-names
  (doseq [bad ["" " " "A b" "A:" "A\r\n" "A\u0000" "\u00e4" "a(b" "a/b"]]
    (is (thrown-with-msg? IllegalArgumentException #"(?s)^Invalid HTTP header name: " (lines {bad "x"})) (pr-str bad)))
  (doseq [bad [:a 'a nil 1]]
    (is (thrown-with-msg? IllegalArgumentException #"^Invalid HTTP header name: " (lines {bad "x"})) (pr-str bad))))

(deftest invalid-values
  (doseq [bad ["a\r\nSet-Cookie: x" "a\n" "\r" "\u0000" "\u001f" "\u007f"]
          value [bad [bad] (str bad (string/join (repeat 500 "x"))) (str "\u20ac" bad)]]
    (is (thrown-with-msg? IllegalArgumentException #"^Invalid character in HTTP header value$" (lines {"A" value}))
        (pr-str value)))
  (is (thrown? IllegalArgumentException (lines {"A" ["x" nil]}))))

(deftest framing-headers-are-the-engines
  (is (= [["A" "b"]]
         (lines (array-map "Content-Length" "5" "A" "b" "transfer-encoding" "chunked" "CONTENT-LENGTH" 7))))
  (let [writer (ResponseWriter/acquire)]
    (doseq [[expected given] {-1 nil, 5 5, 6 "6", 7 " 7 ", 8 ["8"], 9 (list 9), -2 "-2", -3 "x", -4 [], -5 ["5" "5"],
                                -6 [nil]}
            :let [expected (max -1 (long expected))]]
      (.head writer 200 {"content-Length" given})
      (is (= expected (.handlerLength writer)) (pr-str given)))
    (.release writer)))

(deftest a-writer-in-use-is-not-handed-out-again
  (let [seen (atom nil)
        writer (ResponseWriter/acquire)
        value (lazy-seq (reset! seen (lines {"Inner" "1"})) ["outer"])]
    (.head writer 200 {"Outer" value})
    (is (= [["Inner" "1"]] @seen))
    (is (= 1 (.headerCount writer)))
    (.release writer)))
