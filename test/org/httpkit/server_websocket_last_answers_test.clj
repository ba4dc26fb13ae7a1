(ns org.httpkit.server-websocket-last-answers-test
  "Messages that were in order are answered before their connection is failed for what the client sent next."
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as websocket]
            [org.httpkit.server :as server]))

(def ^:private wrong
  "A frame with a reserved bit."
  (websocket/frame :text "wrong" :rsv 2))

(deftest the-answer-of-a-callback-that-still-runs-comes-first
  (let [failed (promise)
        ;; As the server did without waiting, it would be told of the violation while this waits.
        callback (fn [channel text] (deref failed 100 nil) (server/send! channel text))]
    (raw/with-servers [port
                       (fn [request] (server/as-channel request {:on-receive callback}))
                       {:warn-logger (fn [_ _] (deliver failed true))}]
      (websocket/with-socket [connection port]
        (websocket/write-bytes connection (websocket/frame :text "one") (websocket/frame :text "two") wrong)
        (is (= ["one" "two"] [(websocket/read-text connection) (websocket/read-text connection)]))
        (is (= [1002 ""] (websocket/read-close connection)))))))

(deftest a-callback-that-never-answers-is-not-waited-for
  ;; On the pool: in place, what comes in one read with a message is looked at after its callback.
  (let [go-on (promise)
        closed (promise)
        callbacks {:on-receive (fn [_ _] (raw/await-value go-on))
                   :on-close (fn [_ status] (deliver closed status))}]
    (raw/with-server [port #(server/as-channel % callbacks) (assoc (raw/quiet) :dispatch :pool)]
      (websocket/with-socket [connection port]
        (websocket/write-bytes connection (websocket/frame :text "one") wrong)
        (is (= [1002 ""] (websocket/read-close connection)))
        (is (= :protocol-error (raw/await-value closed)))
        (deliver go-on true)))))
