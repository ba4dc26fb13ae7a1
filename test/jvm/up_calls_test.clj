(ns jvm.up-calls-test
  "The two ways by which the engine calls Java: through JNI, and by functions where the JVM makes them."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server]))

(set! *warn-on-reflection* true)

(def ^:private makes-functions? (<= 22 (.feature (Runtime/version))))

(defn- up-call
  "Returns the method that the engine called on this thread, as Class.method."
  []
  (let [^StackTraceElement frame (last (filter #(string/starts-with? (.getClassName ^StackTraceElement %) "org.httpkit.engine.")
                                               (.getStackTrace (Thread/currentThread))))]
    (str (last (string/split (.getClassName frame) #"\.")) "." (.getMethodName frame))))

(defn- recurse [n]
  (inc (long (recurse (inc (long n))))))

(defn- handler [request]
  (case (:uri request)
    "/deep" {:status 200 :body (str (recurse 0))}
    "/socket" (server/as-channel request {:on-receive (fn [ch message]
                                                        (server/send! ch (if (= "deep" message) (str (recurse 0)) (up-call))))})
    {:status 200 :body (up-call)}))

(deftest functions
  (raw/with-server [port handler {:dispatch :in-place :error-logger (fn [_ _])}]
    (raw/with-connection [connection port]
      (let [fetch (fn [target]
                    (raw/write connection (raw/request "GET" target))
                    (:body (raw/read-response connection)))]
        (if makes-functions?
          (testing "they come after the first few thousand calls, for all threads"
            (is (raw/await-true #(= "UpCalls.request" (fetch "/")))))
          (is (= "Worker.requestByJni" (fetch "/"))))
        (testing "a body that does not fit into the thread's buffer goes through JNI"
          (raw/write connection (raw/request "POST" "/" :body (apply str (repeat 100000 "x"))))
          (is (= "Worker.requestByJni" (:body (raw/read-response connection)))))
        (testing "a handler that runs out of stack is a 500, and the thread goes on"
          (dotimes [_ 3]
            (raw/write connection (raw/request "GET" "/deep"))
            (is (= 500 (:status (raw/read-response connection)))))
          (is (string? (fetch "/"))))))
    (testing "messages"
      (ws/with-socket [socket port :target "/socket"]
        (ws/send-text socket "x")
        (is (= (if makes-functions? "UpCalls.message" "Worker.messageByJni") (ws/read-text socket)))
        (ws/send-text socket (apply str (repeat 70000 "x")))
        (is (= "Worker.messageByJni" (ws/read-text socket)))))))
