(ns org.httpkit.engine.wire-test
  "The binary layout, against the golden vectors that rust/jni tests itself with."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing]])
  (:import (java.io InputStream)
           (java.nio ByteBuffer)
           (java.util Arrays)
           (java.util.function Supplier)
           (org.httpkit BytesInputStream)
           (org.httpkit.engine Configuration RequestReader ResponseWriter)))

(defn- vector-bytes
  "Returns the bytes of test/vectors/`name`.hex."
  ^bytes [name]
  (let [lines (string/split-lines (slurp (io/file "test/vectors" (str name ".hex"))))
        digits (mapcat #(re-seq #"[0-9a-f]{2}" %) (remove #(string/starts-with? % "#") lines))]
    (byte-array (map #(unchecked-byte (Integer/parseInt % 16)) digits))))

(defn- reader ^RequestReader [name separate-body]
  (let [block (vector-bytes name)
        buffer (doto (ByteBuffer/allocateDirect 65536) (.put block))]
    (doto (RequestReader.)
      (.read buffer (alength block) 7 separate-body))))

(defn- ring-request [name separate-body]
  (.ringRequest (reader name separate-body) ::channel))

(def ^:private post-request
  {:request-method :post
   :uri "/caf%C3%A9/\u00e9"
   :query-string "q=1&r=%20"
   :protocol "HTTP/1.1"
   :scheme :http
   :server-name "example.org"
   :server-port 8080
   :remote-addr "192.0.2.7"
   :headers {"host" "example.org:8080"
             "cookie" "a=1; b=2"
             "x-trace" "caf\u00e9"
             "x-requested-with" "XMLHttpRequest"
             "x-empty" ""}
   :content-type nil
   :content-length 12
   :character-encoding "utf8"
   :websocket? false
   :async-channel ::channel
   :start-time 1234567890123})

(def ^:private post-body (byte-array (concat (.getBytes "name=value") [0 -1])))

(deftest inline-body
  (let [request (ring-request "request-inline-body" nil)]
    (is (= post-request (dissoc request :body)))
    (is (instance? BytesInputStream (:body request)))
    (is (Arrays/equals ^bytes post-body (.readAllBytes ^BytesInputStream (:body request))))))

(deftest separate-body
  (let [request (ring-request "request-separate-body" post-body)]
    (is (= post-request (dissoc request :body)))
    (is (Arrays/equals ^bytes post-body (.readAllBytes ^BytesInputStream (:body request))))))

(deftest streamed-body
  (let [streamed (InputStream/nullInputStream)
        request (fn [name local-address] (.ringRequest (reader name nil) nil streamed local-address))]
    (is (.isStreamed (reader "request-streamed-body" nil)))
    (is (not (.isStreamed (reader "request-inline-body" nil))))
    (doseq [local-address [nil (reify Supplier (get [_] "/127.0.0.1:80"))]]
      (is (= [streamed 5000000000] ((juxt :body :content-length) (request "request-streamed-body" local-address))))
      (testing "without a declared length there is none to tell"
        (is (= [streamed nil] ((juxt :body :content-length) (request "request-minimal" local-address))))))))

(deftest minimal-request
  (testing "the clock is Java's own where the engine has not looked at it"
    (let [before (System/nanoTime)]
      (is (<= before (:start-time (ring-request "request-minimal" nil)) (System/nanoTime)))))
  (is (= {:request-method :get :uri "/" :query-string nil :protocol "HTTP/1.0" :scheme :http
          :server-name nil :server-port 80 :remote-addr nil :headers {} :body nil
          :content-type nil :content-length 0 :character-encoding "utf8"
          :websocket? false :async-channel ::channel}
         (dissoc (ring-request "request-minimal" nil) :start-time))))

(deftest websocket-request
  (let [request (ring-request "request-websocket" nil)]
    (is (= {:request-method :list :query-string "" :server-name "[::1]" :server-port 65535
            :remote-addr "0:0:0:0:0:0:0:1" :websocket? true
            :headers {"host" "[::1]:65535" "upgrade" "websocket" "connection" "Upgrade"}}
           (select-keys request [:request-method :query-string :server-name :server-port :remote-addr
                                 :websocket? :headers])))))

(deftest types
  (let [request (ring-request "request-inline-body" nil)]
    (is (= [Integer Integer Long Boolean] (map (comp class request)
                                               [:server-port :content-length :start-time :websocket?])))
    (is (= clojure.lang.PersistentArrayMap (class request) (class (:headers request))))
    (testing "a map that is false where it says false"
      (is (false? (:websocket? request))))))

(deftest facts-for-dispatch
  (let [in-place (reader "request-inline-body" nil)
        pooled (reader "request-minimal" nil)]
    (is (.isInPlace in-place))
    (is (not (.isInPlace pooled)))
    (is (= ["POST" "GET"] (map #(.method ^RequestReader %) [in-place pooled])))
    (is (= ["/caf%C3%A9/\u00e9" "/"] (map #(.uri ^RequestReader %) [in-place pooled])))
    (is (= [true false] (map #(.isHttp11 ^RequestReader %) [in-place pooled])))
    (is (not (.isHead in-place)))))

(defn- one-reader
  "Returns a function that reads one block after the other with the same reader, and returns the request."
  []
  (let [buffer (ByteBuffer/allocateDirect 65536)
        reader (RequestReader.)]
    (fn [^bytes block]
      (.clear buffer)
      (.put buffer block)
      (.read reader buffer (alength block) 7 nil)
      (.ringRequest reader nil))))

(deftest a-reader-is-used-again
  (let [block (vector-bytes "request-inline-body")
        minimal (vector-bytes "request-minimal")
        requests (mapv (one-reader) [block minimal block])]
    (is (= [:post :get :post] (map :request-method requests)))
    (is (= (:headers (first requests)) (:headers (last requests))))
    (is (= {} (:headers (second requests))))))

(deftest headers-that-come-again
  (let [^bytes block (vector-bytes "request-inline-body")
        read-next (one-reader)
        request #(update (read-next %) :body slurp)
        again (vec (repeatedly 3 #(request block)))
        changed (fn [at] (doto (aclone block) (aset at (unchecked-byte (int \z)))))
        place (fn [text] (string/index-of (String. block "ISO-8859-1") ^String text))
        others (mapv (comp request changed place) ["a=1" "1; b=2" "XMLHttp" "name=value"])]
    (testing "a map is shared by equal headers"
      (is (= 1 (count (set again))))
      (is (identical? (:headers (again 1)) (:headers (again 2)))))
    (testing "and only by those"
      (is (= ["z=1; b=2" "a=z; b=2" "a=1; b=2" "a=1; b=2"] (map #(get-in % [:headers "cookie"]) others)))
      (is (= ["XMLHttpRequest" "XMLHttpRequest" "zMLHttpRequest" "XMLHttpRequest"]
             (map #(get-in % [:headers "x-requested-with"]) others)))
      (is (= "zame=value" (subs (:body (others 3)) 0 10)))
      (is (identical? (:headers (again 2)) (:headers (others 3)))))))

(defn- written ^bytes [write]
  (let [writer (ResponseWriter/acquire)]
    (write writer)
    (let [block (Arrays/copyOf (.block writer) (.length writer))]
      (.release writer)
      block)))

(defmacro ^:private is-vector [name [writer] & body]
  `(is (= (seq (vector-bytes ~name))
          (seq (written (fn [~(with-meta writer {:tag `ResponseWriter})] ~@body))))))

(deftest responses
  (is-vector "response-minimal" [writer]
    (.head writer 204 nil)
    (.finishHead writer))
  (is-vector "response-inline-body" [writer]
    (.head writer 200 (array-map "Content-Type" "text/plain; charset=utf-8" "set-cookie" ["a=1" "b=2"] "X-Name" "caf\u00e9"))
    (.body writer "h\u00e9llo\n"))
  (is-vector "response-declared-length" [writer]
    (.head writer 304 {"ETag" "\"1\"" "Content-Length" 5000000000})
    (.declare writer (.handlerLength writer))
    (.finishHead writer)))

(defn- config
  "Returns a configuration with what the vectors have in common."
  ^Configuration [max-headers]
  (doto (Configuration.)
    (.limits 8388608 8192 65536 max-headers 0)
    (.timeouts 30000 60000 60000 75000)))

(deftest configurations
  (is (= (seq (vector-bytes "config-tcp"))
         (seq (.encode (doto (config 100)
                         (.tcp "0.0.0.0" 8090 false)
                         (.socket true false 0 1024)
                         (.clientAddress 0 true [])
                         (.dispatch 0 200)
                         (.channels 4194304 67108864 1073741824 536870912 0)
                         (.serverHeader "http-kit"))))))
  (is (= (seq (vector-bytes "config-unix"))
         (seq (.encode (doto (config 100)
                         (.unix "/run/caf\u00e9.sock")
                         (.socket false false 0 16384)
                         (.clientAddress 1 false [])
                         (.timeouts 0 0 0 0)
                         (.serverHeader ""))))))
  (is (= (seq (vector-bytes "config-every-option"))
         (seq (.encode (doto (Configuration.)
                         (.tcp "::" 65535 true)
                         (.socket false true 262144 16384)
                         (.limits 5000000000 1 2 3 10000)
                         (.streamBody true)
                         (.timeouts 0 1 0 (unchecked-int 4294967295))
                         (.clientAddress 2 false ["10.0.0.0/8" "::1"])
                         (.dispatch 2 (unchecked-int 4294967295))
                         (.channels 65536 (unchecked-int 4294967295) 5000000001 5000000002 30000)
                         (.serverHeader nil)))))))
