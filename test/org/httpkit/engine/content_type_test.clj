(ns org.httpkit.engine.content-type-test
  "What a Content-Type header contributes to the Ring map."
  (:require [clojure.test :refer [are deftest]])
  (:import (java.nio ByteBuffer ByteOrder)
           (org.httpkit.engine RequestReader)))

(def ^:private content-type-index 10)

(defn- parsed
  "Returns [type encoding] of a request with this Content-Type."
  [^String header]
  (let [block (doto (ByteBuffer/allocate 1024)
                (.order ByteOrder/LITTLE_ENDIAN)
                (.putShort 2 1)
                (.putInt 4 1)
                (.position 32)
                (.put (byte \/))
                (.put (byte content-type-index))
                (.putInt (.length header))
                (.put (.getBytes header "ISO-8859-1")))
        length (.position block)
        reader (doto (RequestReader.) (.read block length 0 nil))]
    ((juxt :content-type :character-encoding) (.ringRequest reader nil))))

(deftest charset
  (are [expected header] (= expected (parsed header))
    ["text/html" "utf8"] "text/html"
    ["text/html" "utf-8"] "text/html; charset=utf-8"
    ["text/html" "UTF-8"] "text/html;Charset=\"UTF-8\""
    ["text/html" "a\"b"] "text/html; charset=\"a\\\"b\""
    ["text/html" "latin1"] "text/html; charset = latin1 ; x=y"
    ["text/html" "latin1"] "text/html; x=\"a;charset=no\"; CHARSET=latin1"
    ["text/html; charset=" "utf8"] "text/html; charset="
    ["text/html; charset=\"\"" "utf8"] "text/html; charset=\"\""
    ["application/example; version=1" "utf8"] "application/example; version=1"
    ["text/html; xcharset=a" "utf8"] "text/html; xcharset=a"
    ["" "utf8"] ""))
