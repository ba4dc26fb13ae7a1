(ns org.httpkit.engine.trampoline-test
  "Callbacks one after the other."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.engine.trampoline :as trampoline]))

(defn- noting
  "Returns a function that notes the name, runs the others here, notes its end, and throws what is given."
  [notes name others & [exception]]
  (fn []
    (swap! notes conj [:begin name])
    (run! trampoline/run others)
    (swap! notes conj [:end name])
    (when exception
      (throw exception))))

(deftest order
  (testing "what is given within another is called after it, before the outermost call returns"
    (let [notes (atom [])]
      (is (nil? (trampoline/run (noting notes 1 [(noting notes 2 [(noting notes 4 [])]) (noting notes 3 [])]))))
      (is (= (for [name [1 2 3 4], step [:begin :end]] [step name]) @notes))))
  (testing "as often as there is something to call, on any stack"
    (let [called (atom 0)]
      (letfn [(step [] (when (< (long (swap! called inc)) 200000)
                         (trampoline/run step)))]
        (trampoline/run step))
      (is (= 200000 @called))))
  (testing "another thread's are not waited for"
    (let [answer (promise)]
      (trampoline/run (fn [] @(future (trampoline/run #(deliver answer :called)))
                        (is (realized? answer))))
      (is (= :called (raw/await-value answer))))))

(deftest nesting
  (testing "at once, so that one may wait for another"
    (let [answer (promise)]
      (trampoline/nest (fn []
                         (trampoline/nest #(deliver answer :called))
                         (is (realized? answer))))))
  (testing "up to a depth, as often as there is something to call"
    (let [called (atom 0)]
      (letfn [(step [] (when (< (long (swap! called inc)) 200000)
                         (trampoline/nest step)))]
        (trampoline/nest step))
      (is (= 200000 @called))))
  (testing "from the same depth again, whatever was thrown"
    (dotimes [_ 100]
      (is (thrown? Error (trampoline/nest #(trampoline/nest (fn [] (throw (Error.))))))))
    (let [answer (promise)]
      (trampoline/nest #(trampoline/nest (fn [] (deliver answer :called))))
      (is (realized? answer)))))

(deftest exceptions
  (testing "the others are called; the first is thrown, with the others"
    (let [notes (atom [])
          [a b c] (map #(Exception. ^String %) ["a" "b" "c"])
          thrown (try
                   (trampoline/run (noting notes 1 [(noting notes 2 [] b) (noting notes 3 []) (noting notes 4 [] c)] a))
                   (catch Exception e e))]
      (is (identical? a thrown))
      (is (= [b c] (seq (.getSuppressed ^Throwable thrown))))
      (is (= (for [name [1 2 3 4], step [:begin :end]] [step name]) @notes))))
  (testing "one that is thrown twice"
    (let [e (Exception. "again")]
      (is (identical? e (try
                          (trampoline/run (noting (atom []) 1 [(noting (atom []) 2 [] e)] e))
                          (catch Exception thrown thrown))))))
  (testing "the thread is as it was"
    (is (thrown? Error (trampoline/run #(throw (Error.)))))
    (let [called (atom false)]
      (trampoline/run #(reset! called true))
      (is (true? @called)))))
