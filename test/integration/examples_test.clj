(ns integration.examples-test
  "The chat, the ticker, the notice board and the uploads without a browser: what their pages never or seldom meet.
  test/browser drives the pages themselves."
  (:require [chat.main :as chat]
            [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [integration.websocket :as websocket]
            [longpoll.main :as longpoll]
            [ticker.main :as ticker]
            [upload.main :as upload])
  (:import (java.util List)
           (java.util.concurrent TimeUnit)))

(defmacro ^:private with-application
  "Runs the body with `port` bound to that of a running application."
  [[port start] & body]
  `(let [stop# (~start 0)
         ~port (:local-port (meta stop#))]
     (try ~@body (finally (stop#)))))

(deftest pages
  (doseq [[start title] [[chat/start "Chat"] [ticker/start "Ticker"] [longpoll/start "Notice board"] [upload/start "Upload"]]]
    (with-application [port start]
      (let [{:keys [status headers body]} (raw/fetch port "GET" "/")]
        (is (= [200 "text/html; charset=utf-8"] [status (headers "content-type")]))
        (is (string/includes? body (str "<h1>" title "</h1>"))))
      (is (= 404 (:status (raw/fetch port "GET" "/nowhere")))))))

(defn- id-of [message]
  (second (string/split-lines message)))

(deftest chat-room
  (with-application [port chat/start]
    (is (= 426 (:status (raw/fetch port "GET" "/room"))))
    (websocket/with-connection [ada port "/room"]
      (is (= "here\n1" (websocket/receive ada)))
      (doseq [nonsense ["" "\n" "no text" "Ada\n " " \nno name" (byte-array 3)]]
        (websocket/send-message ada nonsense))
      (doseq [text ["one" "two\nlines"]]
        (websocket/send-message ada (str "Ada\n" text)))
      (let [[one two] [(websocket/receive ada) (websocket/receive ada)]]
        (is (= [(str "said\n" (id-of one) "\nAda\none") (str "said\n" (id-of two) "\nAda\ntwo\nlines")] [one two]))
        (testing "who comes later hears what was said, or what was said since"
          (websocket/with-connection [bob port "/room?after=0"]
            (is (= [one two "here\n2"] (repeatedly 3 #(websocket/receive bob)))))
          (websocket/with-connection [bob port (str "/room?after=" (id-of one))]
            (is (= two (websocket/receive bob)))))))
    (testing "too much at once"
      (websocket/with-connection [eve port "/room?after=999999999999999"]
        (websocket/send-message eve (str "Eve\n" (string/join (repeat 5000 "x"))))
        (is (= 1009 (second (first (filter vector? (repeatedly #(websocket/receive eve)))))))))))

(defn- event-ids
  "Returns the ids of the events in an answer, as they come."
  [connection target headers]
  (raw/write connection (raw/request "GET" target :version "1.0" :headers headers))
  (raw/read-head connection)
  (for [line (line-seq (io/reader (:in connection)))
        :let [[_ id] (re-matches #"id: (\d+)" line)]
        :when id]
    (Long/parseLong id)))

(deftest ticker-events
  (with-application [port ticker/start]
    (let [latest (quot (System/currentTimeMillis) 500)
          first-id (fn [target headers]
                     (raw/with-connection [connection port]
                       (first (event-ids connection target headers))))]
      (is (= (- latest 9) (first-id "/prices" {"Last-Event-ID" (- latest 10)})))
      (is (= (- latest 9) (first-id (str "/prices?after=" (- latest 10)) {})))
      (testing "no more than a minute of them"
        (is (<= (- latest 119) (first-id "/prices" {"Last-Event-ID" "1"}))))
      (testing "an id that is none of ours is none"
        (is (<= (- latest 19) (first-id "/prices" {"Last-Event-ID" "1e9"}))))
      (testing "each once, those of the past and those to come"
        (raw/with-connection [connection port]
          (is (= (range (- latest 9) (+ latest 3))
                 (take 12 (event-ids connection "/prices" {"Last-Event-ID" (- latest 10)})))))))))

(deftest notice-board
  (with-application [port longpoll/start]
    (let [post #(raw/fetch port "POST" "/notes" :body %)
          reader (future (raw/fetch port "GET" "/notes?after=0"))]
      (is (= 201 (:status (post " Lunch\nat  noon "))))
      (let [{:keys [status body]} (raw/await-value reader)
            [_ id] (re-matches #"(\d+) Lunch at noon\n" body)]
        (is (= 200 status))
        (testing "what was pinned before is answered at once, without what the page has seen"
          (is (= 201 (:status (post "Bring umbrellas"))))
          (is (= body (str id " Lunch at noon\n")))
          (is (re-matches #"\d+ Bring umbrellas\n" (:body (raw/fetch port "GET" (str "/notes?after=" id)))))))
      (is (= 400 (:status (post " \n"))))
      (is (= 413 (:status (post (string/join (repeat 1001 "x"))))))
      (testing "nothing new for too long"
        (with-redefs [longpoll/wait-seconds 0]
          (is (= 204 (:status (raw/fetch port "GET" "/notes?after=999999999999999")))))))))

(deftest uploads
  (with-application [port upload/start]
    (is (= "3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
           (:body (raw/fetch port "PUT" "/files" :body "abc"))))
    (is (= "0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
           (:body (raw/fetch port "PUT" "/files"))))
    (is (= 413 (:status (raw/fetch port "PUT" "/files" :headers {"Content-Length" (inc (* 64 1024 1024))}))))))

(defn- command
  "Runs an example as `make run` does; returns its exit code and what it printed."
  [example port]
  (let [builder (doto (ProcessBuilder. ^List [(child/program "java") "-XX:+IgnoreUnrecognizedVMOptions"
                                              "--enable-native-access=ALL-UNNAMED" "-XX:TieredStopAtLevel=1"
                                              "-cp" (System/getProperty "java.class.path")
                                              "clojure.main" "-m" (str example ".main")])
                  (.redirectErrorStream true))]
    (.put (.environment builder) "PORT" (str port))
    (let [process (.start builder)]
      (try
        (when (.waitFor process raw/patience-millis TimeUnit/MILLISECONDS)
          [(.exitValue process) (slurp (.getInputStream process))])
        (finally (.destroyForcibly process))))))

(deftest ports-that-cannot-be
  (is (= [1 "PORT must be a number from 0 to 65535, not \"abc\".\n"] (command "chat" "abc")))
  (is (= [1 "PORT must be a number from 0 to 65535, not \"65536\".\n"] (command "ticker" "65536")))
  (testing "one that is taken"
    (with-application [port upload/start]
      (let [[status text] (command "longpoll" port)]
        (is (= 1 status))
        (is (re-matches #".*in use.*\nChoose another port, for example PORT=8091\.\n" text))))))
