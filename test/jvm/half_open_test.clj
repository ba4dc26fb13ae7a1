(ns jvm.half-open-test
  "Clients that are cut off without a word, so that neither side hears of the other any more (docs/RELIABILITY.md, R16).

  A server and its clients have a network of their own, whose only link goes down. -Dhttpkit-rs.full-counts=true waits also for
  what only TCP's own probes can find."
  (:require [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [jvm.load :as load])
  (:import (java.io IOException)))

(set! *warn-on-reflection* true)

(use-fixtures :each temporary/cleanup)

(def ^:private ping-millis 1000)
(def ^:private keep-alive-millis 3000)
;; The first probe after 60 seconds of silence, then Linux's default of 9, 10 seconds apart (rust/engine/src/listener.rs).
(def ^:private probed-millis 150000)
;; By how much each may be passed.
(def ^:private grace-millis 10000)

(defn- runs? [command]
  (try
    (some? (apply child/run command))
    (catch IOException _ false)
    (catch clojure.lang.ExceptionInfo _ false)))

(defn- own-network
  "Returns a command that runs another in a network of its own, with the right to change it: as root, or where anybody may.
  Returns nil where neither is allowed."
  []
  (first (filter #(runs? (concat % ["ip" "link" "set" "lo" "up"]))
                 [["unshare" "--net"] ["unshare" "--net" "--map-root-user"]])))

(def ^:private serving
  "In the child: a server whose WebSockets, or streams of /stream, note how they end; the clients of a WebSocket answer pings."
  '(do (require '[httpkit-rs.websocket :as ws])
       (defn link [state]
         (zero? (:exit (shell/sh "ip" "link" "set" "lo" state))))
       (link "up")
       (def ends (ws/events))
       (def pings (ws/events))
       (defn noting [{:keys [uri] :as request}]
         (if (= "/" uri)
           (handler request)
           (server/as-channel request {:on-open (fn [channel]
                                                  (when (= "/stream" uri) (server/send! channel "first" false)))
                                       :on-close (fn [_ status] (ws/note ends status))})))
       (defn open-socket [port]
         (let [socket (ws/connect port :target "/socket")]
           (future (loop []
                     (when (= :ping (:type (ws/read-frame socket)))
                       (ws/send-frame socket :pong [])
                       (ws/note pings :answered)
                       (recur))))
           nil))
       (defn open-stream [port]
         (raw/read-head (doto (raw/connect port) (raw/write (raw/request "GET" "/stream")))))
       (defn fetch-and-stay [port]
         (:body (raw/read-response (doto (raw/connect port) (raw/write (raw/request "GET" "/"))))))
       (defn connections []
         (:connections (server/server-stats (first @servers))))))

(deftest clients-that-are-cut-off
  (if-let [network (own-network)]
    (with-open [jvm (child/start :through network)]
      (child/evaluate jvm serving)
      (let [port (child/evaluate jvm (list 'start 'noting {:ws-ping-interval ping-millis :keep-alive-timeout keep-alive-millis}))
            streams (child/counts 0 1)]
        (child/evaluate jvm (list 'open-socket port))
        (dotimes [_ streams]
          (is (= 200 (:status (child/evaluate jvm (list 'open-stream port))))))
        (testing "before that, who answers is left alone"
          (dotimes [_ 2]
            (is (= :answered (child/evaluate jvm '(ws/next-event pings)))))
          (is (child/evaluate jvm '(ws/no-event? ends))))
        (is (= "fine" (child/evaluate jvm (list 'fetch-and-stay port))))
        (is (child/evaluate jvm '(link "down")))
        (testing "a WebSocket"
          (let [[millis status] (load/timed #(child/evaluate jvm '(ws/next-event ends)))]
            (is (= :going-away status))
            (is (< (long millis) (+ (* 2 (long ping-millis)) (long grace-millis))))))
        (testing "a connection that waits for its next request"
          (let [others-only (list 'fn [] (list '= streams '(connections)))
                [millis closed?] (load/timed #(child/evaluate jvm (list 'raw/await-true others-only)))]
            (is closed?)
            (is (< (long millis) (+ (long keep-alive-millis) (long grace-millis))))))
        (when child/full?
          (testing "a stream in which nothing is sent"
            (let [deadline (+ (long probed-millis) (long grace-millis))
                  end (list '.poll 'ends deadline 'TimeUnit/MILLISECONDS)]
              (is (= :client-close (child/evaluate jvm end :millis (+ deadline 1000))))
              (is (child/evaluate jvm '(raw/await-true (fn [] (zero? (connections)))))))))))
    (skip "unshare or ip is not there, or may not make a network")))
