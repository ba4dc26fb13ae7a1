(ns immutant.web.sse-test
  "Server-sent events."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [immutant.web.async :as async]
            [immutant.web.internal.tasks :as tasks]
            [immutant.web.serving :as serving]
            [immutant.web.sse :as sse]))

(defrecord Price [amount])

(extend-protocol sse/Event
  Price
  (event->str [price] (str "data:" (:amount price) " EUR\n")))

(deftest formats
  (are [expected event] (= expected (sse/event->str event))
    "data:\n" nil
    "data:foo\n" "foo"
    "data:5\n" 5
    "data:0\ndata:1\ndata:2\n" [0 1 2]
    "data:0\ndata:1\ndata:2\n" (range 3)
    "data:0\ndata:1\n" '("0" "1")
    "data:0\ndata:1\n" {:data (range 2)}
    "data:foo\nid:42\n" {:id 42 :data "foo"}
    "data:\nevent:ping\n" {:event "ping"}
    "data:1\n" (java.util.HashMap. {:data 1}))
  (testing "every other entry, after the data"
    (let [lines (string/split-lines (sse/event->str {:event "bar" :data "foo" :id 42 :retry 1000}))]
      (is (= ["data:foo" #{"event:bar" "id:42" "retry:1000"}] [(first lines) (set (rest lines))]))))
  (testing "a line for each line of the data"
    (are [expected event] (= expected (sse/event->str event))
      "data:a\ndata:b\n" "a\nb"
      "data:a\ndata:b\ndata:c\n" "a\r\nb\rc"
      "data:a\ndata:\n" "a\n"
      "data:x\nevent:a\nevent:b\n" {:event "a\nb" :data "x"}))
  (testing "extended by the application"
    (is (= "data:5 EUR\n" (sse/event->str (->Price 5))))))

(deftest streams
  (testing "the Content-Type; each event ends with an empty line"
    (let [sent (promise)]
      (serving/with-run [port (fn [request]
                                (sse/as-channel request
                                                :on-open (fn [ch]
                                                           (doseq [n [2 1]]
                                                             (sse/send! ch n))
                                                           (sse/send! ch {:event "close" :data "bye!"}
                                                                      {:on-success #(deliver sent :success) :close? true}))))]
        (let [{:keys [headers body]} (raw/fetch port "GET" "/")]
          (is (= "text/event-stream; charset=utf-8" (get headers "content-type")))
          (is (nil? (get headers "cache-control")))
          (is (= "data:2\n\ndata:1\n\ndata:bye!\nevent:close\n\n" body))
          (is (= :success (raw/await-value sent)))))))
  (testing "comments that keep the connection alive, from the opening on, until the end"
    (let [timers (atom [])
          channel (promise)]
      (with-redefs [tasks/later (fn [millis function] (swap! timers conj [millis function]))]
        (serving/with-run [port (fn [request]
                                  (sse/as-channel request {:heartbeat-ms 5000
                                                           :on-open (fn [ch] (sse/send! ch "x") (deliver channel ch))}))]
          (raw/with-connection [connection port]
            (raw/write connection (raw/request "GET" "/"))
            (raw/read-head connection)
            (let [read #(String. (.readNBytes ^java.io.InputStream (:in connection) %) "ISO-8859-1")
                  beat (fn [] (let [[millis function] (peek @timers)]
                                (is (= 5000 millis))
                                (function)))]
              (is (= "8\r\ndata:x\n\n\r\n" (read 13)))
              (dotimes [n 3]
                (is (raw/await-true #(= (inc n) (count @timers))))
                (beat)
                (is (= "3\r\n:\n\n\r\n" (read 8))))
              (async/close @channel)
              (beat)
              (is (= 4 (count @timers)))))))))
  (testing "options"
    (is (= #{:close? :on-success :on-error} (:valid-options (meta #'sse/send!))))
    (is (thrown-with-msg? IllegalArgumentException #":bad is not a valid option for send!" (sse/send! :any 1 :bad 2)))
    (is (thrown-with-msg? IllegalArgumentException #":bad is not a valid option .*:heartbeat-ms" (sse/as-channel {} :bad 2)))
    (is (thrown-with-msg? IllegalArgumentException #":heartbeat-ms must be a number from 1" (sse/as-channel {} :heartbeat-ms 0)))))
