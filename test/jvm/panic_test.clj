(ns jvm.panic-test
  "Panics in native code: each becomes a Java exception or a closed connection, and the JVM goes on (docs/RELIABILITY.md, J1).

  Only debug builds of the native library can be told to panic. Cargo builds one, as for the Rust tests."
  (:require [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary])
  (:import (clojure.asm ClassReader ClassWriter Opcodes)
           (java.io File InputStream)))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(defn- debug-library
  "Returns the debug build of the native library, or nil without Cargo."
  ^File []
  (let [library (io/file (System/getProperty "user.dir") "target" "debug" (System/mapLibraryName "httpkit_rs"))]
    (try
      (child/run "cargo" "build" "--quiet" "--package" "httpkit-jni")
      library
      (catch java.io.IOException _ nil))))

(defn- native-with-panic
  "Returns a directory of classes with a copy of Native that declares `static native void panic(int)`."
  ^File []
  (let [name "org/httpkit/engine/Native.class"
        file (io/file (temporary/directory) name)
        writer (ClassWriter. 0)]
    (with-open [^InputStream in (io/input-stream (io/resource name))]
      (.accept (ClassReader. in) writer 0))
    (.visitEnd (.visitMethod writer (+ Opcodes/ACC_PUBLIC Opcodes/ACC_STATIC Opcodes/ACC_NATIVE) "panic" "(I)V" nil nil))
    (io/make-parents file)
    (io/copy (.toByteArray writer) file)
    (.getParentFile (.getParentFile (.getParentFile (.getParentFile file))))))

(def ^:private exception "java.lang.InternalError: httpkit panicked: injected fault")

(defmacro ^:private with-faulty [[jvm] & body]
  `(if-let [library# (debug-library)]
     (with-open [~jvm (child/start :before [(native-with-panic)]
                                   :options ["-Xcheck:jni" (str "-Dorg.httpkit-rs.native-library=" library#)])]
       (child/evaluate ~jvm '(do (require '~'[jvm.faulty :as faulty] '~'[jvm.served :as served])) :millis 60000)
       ~@body
       (is (= [] (child/complaints ~jvm))))
     (skip "no Cargo to build the native library with")))

(deftest every-export
  (with-faulty [jvm]
    (let [methods (child/evaluate jvm '(faulty/native-methods))]
      (is (= methods (child/evaluate jvm '(sort (keys faulty/exports)))) "the table has every native method")
      (doseq [method methods]
        (is (= exception (child/evaluate jvm (list 'faulty/export-outcome method))) method)))))

(def ^:private requests
  "What a client gets of a request in which the point panics. A call of the engine's that is not made there leaves it as it is."
  {["request" "/"]           #{500}
   ["task" "/"]              #{:closed}
   ["respond" "/"]           #{500 200}
   ["respondBytes" "/large"] #{500}
   ["respondFile" "/file"]   #{500}
   ["startStream" "/stream"] #{500}
   ["send" "/stream"]        #{:closed}
   ["startStream" "/pieces"] #{500}
   ["watch" "/watch"]        #{500}
   ["remoteAddress" "/address"] #{500}
   ["observe" "/"]           #{200}
   ["up-call" "/bad bad"]    #{400}})

(def ^:private sockets
  "The types of frames a client may get of a WebSocket in which the point panics, or the status of a failed handshake."
  {["upgrade" "/socket"]         #{500}
   ["message" "/socket"]         #{:close}
   ["sendMessage" "/socket"]     #{:text :close}
   ["resume" "/socket"]          #{:text :close}
   ["closeWebSocket" "/closing"] #{:text :close}
   ["up-call" "/closing"]        #{:close}})

(deftest every-end
  (testing "of a channel is told, once, whatever its first telling came to"
    (with-faulty [jvm]
      (let [port (child/evaluate jvm '(faulty/serve-ends))]
        (doseq [point ["up-call" "localAddress" "remoteAddress"]
                [socket? status] {false :client-close, true :going-away}]
          (is (= [status "fine" nil] (child/evaluate jvm (list 'faulty/end-outcome port point socket?) :millis 40000))
              [point socket?]))))))

(deftest every-exchange
  (with-faulty [jvm]
    (doseq [dispatch [:pool :in-place]]
      (let [port (child/evaluate jvm (list 'faulty/serve dispatch))]
        (doseq [[[point target] expected] requests]
          (let [[outcome next] (child/evaluate jvm (list 'faulty/http-outcome port point target) :millis 30000)]
            (is (contains? expected outcome) [dispatch point target])
            (is (= "fine" next))))
        (doseq [[[point target] expected] sockets]
          (let [[outcome next] (child/evaluate jvm (list 'faulty/socket-outcome port point target) :millis 30000)]
            (is (contains? expected outcome) [dispatch point target])
            (is (= "fine" next))))
        (is (true? (child/evaluate jvm '(served/stop))))))
    (testing "a server that stops"
      (doseq [[point expected] {"up-call" [true :closed], "stats" [exception :closed], "close" [exception :closed]
                                "drain" [exception :closed]}]
        (let [port (child/evaluate jvm '(faulty/serve :pool))]
          (is (= expected (child/evaluate jvm (list 'faulty/stop-outcome port point))) point))))
    (testing "a server that starts"
      (doseq [point ["start" "port"]]
        (is (= exception (child/evaluate jvm (list 'faulty/start-outcome point))))))))
