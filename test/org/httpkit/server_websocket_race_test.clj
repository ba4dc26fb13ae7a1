(ns org.httpkit.server-websocket-race-test
  "16 threads send on a WebSocket that ends meanwhile (docs/RELIABILITY.md, W9).

  By default 200 times; `-Dhttpkit-rs.full-counts=true` makes it 100,000."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is]]
            [httpkit-rs.child :as child]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent CountDownLatch Semaphore)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private rounds (child/counts 200 100000))
(def ^:private senders 16)
;; How many messages may wait for the client: 16 threads send more than one reads.
(def ^:private most-ahead 50)
(def ^:private any-number 1000000)

(def ^:private fillers
  "Short ones travel in one piece with the head of their frame, long ones beside it."
  (mapv #(string/join (repeat % "x")) [0 100 2100]))

(defn- message
  "Returns the text number `n` of a sender, which begins with the sender's letter."
  ^String [^long sender ^long n]
  (str (char (+ (long \a) sender)) n " " (fillers (rem (+ n sender) (count fillers)))))

(defn- sender-of ^long [^String text]
  (if (seq text)
    (- (int (.charAt text 0)) (int \a))
    -1))

(defn- send-until-false
  "Sends until `send!` is false. Returns how many messages were accepted, or what was wrong."
  [ch ended? ^Semaphore permits sender]
  (loop [n 0]
    (.acquire permits)
    (let [too-late? @ended?]
      (cond
        (not (server/send! ch (message sender n))) (if (server/send! ch "late") :open-again n)
        too-late? :accepted-after-the-end
        :else (recur (inc n))))))

(defn- receive
  "Reads up to the Close frame, or to so many messages. Returns how many have come of each sender, each whole and in order.
  `counts` have come before. Each is a permit for the next."
  [connection ^Semaphore permits counts enough]
  (loop [counts counts]
    (if (<= (long enough) (long (reduce + counts)))
      counts
      (let [{:keys [type text] :as frame} (ws/read-frame connection)
            sender (sender-of text)
            next? (and text (= text (some->> (get counts sender) (message sender))))]
        (when next?
          (.release permits))
        (cond
          next? (recur (update counts sender inc))
          (= "last" text) (recur counts)
          (= :close type) counts
          :else (throw (ex-info "Not what comes next of any sender" {:after counts :came frame})))))))

(def ^:private endings
  "Who ends the WebSocket and how, and what `on-close` hears of it."
  [[:close (fn [ch _] (server/close ch)) :server-close]
   [:last-message (fn [ch _] (server/send! ch "last" true)) :server-close]
   [:client (fn [_ connection] (ws/send-close connection 1000 "")) :normal]
   [:reset (fn [_ connection] (ws/reset connection)) :going-away]])

(defn- race
  "Plays one round. Returns nil if all went well, else what did not."
  [port opens closes number]
  (let [connection (ws/connect port)
        ch (ws/next-event opens)
        ended? (atom false)
        permits (Semaphore. most-ahead)
        start (CountDownLatch. 1)
        sending (mapv #(future (raw/await-latch start) (send-until-false ch ended? permits %)) (range senders))
        [ending end status] (endings (rem (long number) (count endings)))
        by-server? (= :server-close status)
        _ (.countDown start)
        some-counts (receive connection permits (vec (repeat senders 0)) (rem (long number) 51))
        _ (end ch connection)
        _ (reset! ended? by-server?)
        received (if (= :reset ending) :lost (receive connection permits some-counts any-number))
        closed (ws/next-event closes)
        _ (reset! ended? true)
        _ (.release permits any-number)
        _ (when by-server? (ws/send-close connection))
        nothing-more? (or (= :reset ending) (raw/ended? connection))
        accepted (mapv raw/await-value sending)]
    (raw/disconnect connection)
    (when-not (and nothing-more?
                   (= [ch status] closed)
                   (if (= :reset ending) (every? nat-int? accepted) (= accepted received)))
      {:round number :ending ending :closed closed :nothing-more? nothing-more? :accepted accepted :received received})))

(deftest sends-that-race-with-the-end
  (let [opens (ws/events)
        closes (ws/events)]
    (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note opens ch))
                                                  :on-close (fn [ch status] (ws/note closes [ch status]))})
                      {}]
      (is (nil? (some #(race port opens closes %) (range rounds))))
      (is (ws/no-event? closes)))))
