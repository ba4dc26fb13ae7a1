(ns load.slow-client-test
  "Clients that never read cost the server a bounded amount of memory, all of them together, and the others nothing.

  By default 160 MB go to 8 readers; `-Dhttpkit-rs.full-counts=true` makes it 640 MB to 100."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [load.child :as child]
            [load.readers :as readers]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private volume
  (if (Boolean/getBoolean "httpkit-rs.full-counts")
    {:messages 10000 :readers 100}
    {:messages 2500 :readers 8}))

(def ^:private message-bytes 65536)
(def ^:private warm-up-messages 300)
(def ^:private stalled-clients 10)
(def ^:private heap-mebibytes 96)
;; What a heap of 256 MiB comes with.
(def ^:private options "{:max-pending-total 67108864}")
(def ^:private allowed-growth (* 100 1024 1024))

(defn- payload
  "A text that differs from message to message."
  ^bytes [number]
  (let [bytes (byte-array message-bytes (byte 120))
        digits (.getBytes (format "%016d" number))]
    (System/arraycopy digits 0 bytes 0 (alength digits))
    bytes))

(defn- broadcast
  "Has one message sent to all listeners and waits until every reader has it."
  [shouter everybody number]
  (let [payload (payload number)]
    (readers/send-frame shouter (readers/frame payload true))
    (readers/await-frame everybody (readers/frame payload false))))

(defn- broadcast-many
  "Returns the most memory that the server occupied meanwhile."
  [server shouter everybody numbers]
  (reduce (fn [^long most number]
            (broadcast shouter everybody number)
            (max most (child/resident-bytes server)))
          0 numbers))

(defn- listen
  "Opens so many WebSockets that get what is broadcast from now on; `in-all` have been opened by that."
  [port how-many in-all]
  (let [listeners (readers/open port "/listen" how-many)]
    (is (= "true" (:body (raw/fetch port "GET" (str "/opened?" in-all)))))
    listeners))

(defn- closed [port]
  (edn/read-string (:body (raw/fetch port "GET" "/closed"))))

(defn- broadcast-beside-clients-that-never-read [{:keys [port] :as server}]
  (let [{:keys [messages] how-many :readers} volume
        everybody (listen port how-many how-many)]
    (try
      (with-open [shouter (readers/connect port "/shout")]
        (let [before (long (broadcast-many server shouter everybody (range warm-up-messages)))]
          (let [stalled (listen port stalled-clients (+ (long how-many) (long stalled-clients)))]
            (try
              (let [most (long (broadcast-many server shouter everybody (range messages)))]
                (testing "memory"
                  (is (<= (- most before) (long allowed-growth))))
                (testing "the server has let go of each, once"
                  (is (= [:unknown stalled-clients] (closed port)))))
              (finally (readers/close stalled)))))
        (testing "who comes later is served, and the others still are"
          (let [late (listen port 1 (+ (long how-many) (long stalled-clients) 1))]
            (try
              (broadcast shouter everybody messages)
              (readers/await-frame late (readers/frame (payload messages) false))
              (finally (readers/close late))))))
      (finally (readers/close everybody)))))

(deftest clients-that-never-read
  (if (.exists (io/file "/proc/self/status"))
    (with-open [server (child/start 'load.broadcast-server heap-mebibytes options)]
      (broadcast-beside-clients-that-never-read server))
    (skip "memory of a process is read from /proc")))
