(ns integration.tour-test
  "Every stop of examples/tour, as its page promises it."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [integration.http :as http]
            [tour.main :as tour])
  (:import (java.security MessageDigest)
           (java.util Arrays)))

(def ^:private ^:dynamic *address* nil)

(use-fixtures :once
  (fn [test]
    (let [stop (tour/start 0)]
      (try
        (binding [*address* (str "http://127.0.0.1:" (:local-port (meta stop)))]
          (test))
        (finally (stop))))))

(defn- fetch [path & {:as request}]
  (http/send-request (http/client) (assoc request :url (str *address* path))))

(defn- sha256 [^bytes content]
  (string/join (map #(format "%02x" %) (.digest (MessageDigest/getInstance "SHA-256") content))))

(deftest index-names-this-server
  (let [{:keys [status headers body]} (fetch "/")]
    (is (= [200 "text/html; charset=utf-8"] [status (headers "content-type")]))
    (is (string/includes? body (str "curl --data 'name=Ada&amp;city=London' " *address* "/form")))
    (is (not (string/includes? body "{{")))))

(deftest small-answers
  (is (= "Hello, Ada B!\n" (:body (fetch "/hello?name=Ada+B"))))
  (is (= "Hello, stranger!\n" (:body (fetch "/hello"))))
  (is (= 404 (:status (fetch "/nowhere"))))
  (is (string/includes? (:body (fetch "/request?a=1")) ":query-string \"a=1\""))
  (is (= 500 (:status (fetch "/fail"))))
  (is (= [200 ""] ((juxt :status :body) (fetch "/hello" :method "HEAD")))))

(deftest form
  (let [{:keys [body]} (fetch "/form" :method "POST" :body "name=%3CAda%3E&city=Z%C3%BCrich&broken=%zz")]
    (is (string/includes? body "<tr><th>name</th><td>&lt;Ada&gt;</td></tr>"))
    (is (string/includes? body "<td>Zürich</td>"))
    (is (string/includes? body "<td>%zz</td>"))))

(deftest upload
  (doseq [size [0 1 8192 1000003]
          :let [content (byte-array size (map unchecked-byte (range size)))]]
    (is (= (str size " bytes, sha256 " (sha256 content) "\n")
           (:body (fetch "/upload" :method "PUT" :body content))))))

(deftest download
  (let [{:keys [headers] ^bytes body :body} (http/send-for-bytes (http/client) {:url (str *address* "/download")})
        text (String. body "US-ASCII")]
    (is (= (str (alength body)) (headers "content-length")))
    (is (string/starts-with? text "number,square\n0,0\n"))
    (is (string/ends-with? text "199999,39999600001\n"))))

(deftest streams
  (testing "an InputStream longer than any window"
    (let [{:keys [^bytes body]} (http/send-for-bytes (http/client) {:url (str *address* "/zeros?count=5000001")})]
      (is (Arrays/equals body (byte-array 5000001)))))
  (testing "a lazy sequence"
    (is (= (string/join (for [n (range 1 100001)] (str "line " n "\n"))) (:body (fetch "/lines"))))
    (is (= "line 1\nline 2\n" (:body (fetch "/lines?count=2"))))))

(deftest a-slow-handler-does-not-hold-others-up
  (let [client (http/client)
        slow (http/send-async client {:url (str *address* "/slow?seconds=2")})]
    (is (= 200 (:status (http/send-request client {:url (str *address* "/hello")}))))
    (is (not (.isDone slow)) "the quick answer came first")
    (is (= "That took 2 seconds.\n" (:body (.get slow))))))
