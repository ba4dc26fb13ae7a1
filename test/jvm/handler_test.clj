(ns jvm.handler-test
  "Handlers that ask much of a JVM: code loaded and reloaded in them, no end of recursion, other programs, virtual threads
  (docs/RELIABILITY.md, J7, J9, J12, J15)."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [jvm.load :as load]))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(deftest code-loaded-by-handlers
  (let [directory (temporary/directory)]
    (doseq [name ["pool" "in_place"]]
      (spit (io/file directory (str "late_" name ".clj"))
            (str "(ns late-" (string/replace name "_" "-") ") (defrecord Late [x]) (def answer (:x (->Late 42)))")))
    (spit (io/file directory "late.txt") "found")
    (with-open [jvm (child/start)]
      ;; The thread that starts the servers is the only one that knows the loader.
      (child/evaluate jvm (list 'with-directory (str directory)))
      (doseq [dispatch [:pool :in-place]]
        (let [port (child/evaluate jvm (list 'start 'loading-handler {:dispatch dispatch}))
              fetch #(:body (raw/fetch port "GET" (str "/" % "?late-" (name dispatch))))]
          (is (= "42" (fetch "require")) dispatch)
          (is (= "found" (fetch "resource")) dispatch)
          (is (= "late.txt" (fetch "for-name")) dispatch))))))

(deftest types-reloaded-by-handlers
  (testing "as at the REPL: old class loaders are collected"
    ;; Clojure's own cache of classes holds them softly.
    (with-open [jvm (child/start :options ["-XX:SoftRefLRUPolicyMSPerMB=0"])]
      (doseq [dispatch [:pool :in-place]]
        (let [port (child/evaluate jvm (list 'start 'reloading-handler {:dispatch dispatch}))
              reload (fn [times] (load/fetch-times port (raw/request "GET" "/") times))
              state #(child/evaluate jvm '(reload-state))]
          (reload 20)
          (let [before (state)]
            (is (= {[200 "reloaded"] 20} (reload 20)))
            (let [after (state)]
              (is (>= 2 (long (:loaders after))) "the newest may live")
              (is (> (* 20 1024) (- (long (:kibibytes after)) (long (:kibibytes before))))))))))))

(deftest recursion-without-end
  (with-open [jvm (child/start)]
    (doseq [dispatch [:pool :in-place :adaptive]]
      (testing dispatch
        (let [port (child/evaluate jvm (list 'start {:dispatch dispatch :error-logger '(fn [_ _])}))
              clients (doall (for [_ (range 4)]
                               (future (load/fetch-times port (raw/request "GET" "/recurse") 100))))]
          (is (= (repeat 4 {[500 "Internal Server Error"] 100}) (map raw/await-value clients)))
          (is (= "fine" (:body (raw/fetch port "GET" "/")))))))
    (is (empty? (child/complaints jvm)))))

(deftest the-stack-the-jvm-was-told-to-give
  (testing "is a handler's in place as on the pool"
    (with-open [jvm (child/start :options ["-Xss16m"])]
      (doseq [dispatch [:pool :in-place :adaptive]]
        (let [port (child/evaluate jvm (list 'start 'descending-handler {:dispatch dispatch :error-logger '(fn [_ _])}))]
          (is (= {[200 "60000"] 20} (frequencies (repeatedly 20 #((juxt :status :body) (raw/fetch port "GET" "/?60000")))))
              dispatch))))))

(deftest other-programs
  (with-open [jvm (child/start)]
    (let [;; The JVM keeps a socket of its own once it has used one.
          before (set (keys (child/evaluate jvm '(do (.close (java.net.ServerSocket. 0))
                                                     (.close (java.nio.channels.ServerSocketChannel/open))
                                                     (descriptors)))))
          port (child/evaluate jvm '(start))
          connections (doall (repeatedly 100 #(raw/connect port)))]
      (try
        (doseq [connection connections]
          (raw/write connection (raw/request "GET" "/"))
          (is (= "fine" (:body (raw/read-response connection)))))
        (testing "started in a handler inherit no socket"
          (let [{:keys [body]} (raw/fetch port "GET" "/fds")]
            (is (string/includes? body " 1 -> "))
            (is (not (string/includes? body "socket:")))))
        (testing "nor would they if the JVM did not close what it has open: O_CLOEXEC is set"
          (let [ours? (fn [[descriptor target]] (and (not (before descriptor)) (re-find #"^(socket|anon_inode)" target)))
                opened (filter ours? (child/evaluate jvm '(descriptors)))
                flags (child/evaluate jvm (list 'mapv 'descriptor-flags (mapv key opened)))
                inherited (remove #(bit-test (long (first %)) 19) (map vector flags opened))]
            (is (< 100 (count (filter #(string/starts-with? (val %) "socket:") opened))))
            (is (= [] inherited))))
        (finally (run! raw/disconnect connections))))))

(deftest virtual-threads
  (if (> 21 (long child/java-version))
    (skip "this JVM has no virtual threads")
    (with-open [jvm (child/start)]
      (let [port (child/evaluate jvm '(do (record-pinning) (start {:dispatch :pool :error-logger (fn [_ _])})))]
        (testing "are not pinned by calls of the engine, however the handler answers"
          (doseq [path ["/" "/echo" "/large" "/stream" "/recurse" "/wait"]]
            (load/fetch-times port (raw/request "GET" path) 200))
          (is (= 50 (load/echo-sockets port 50)))
          (is (= [] (child/evaluate jvm '(pinnings)))))))))
