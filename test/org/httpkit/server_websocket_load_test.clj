(ns org.httpkit.server-websocket-load-test
  "Many messages, many ends, many blocked callbacks: nothing is lost, doubled or out of order.

  The counts are small enough for every run. -Dhttpkit-rs.messages=1000000 and -Dhttpkit-rs.kills=10000 are the
  large ones of docs/RELIABILITY.md, W8 and W5."
  (:require [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.io InputStream)
           (java.net Socket)
           (java.util.concurrent CountDownLatch)
           (java.util.concurrent.atomic AtomicInteger AtomicIntegerArray)))

(def ^:private total-messages (Integer/getInteger "httpkit-rs.messages" 20000))
(def ^:private total-kills (Integer/getInteger "httpkit-rs.kills" 300))
(def ^:private channels 64)
(def ^:private senders 8)

(defn- number-frame
  "Returns the frame of a text that is only the number."
  ^bytes [n]
  (ws/frame :text (str n)))

(def ^:private time-for-all
  "Milliseconds the messages of one test may take, all on one machine with their clients."
  (+ (long raw/patience-millis) (quot (long total-messages) 5)))

(defn- connect [port]
  (let [{:keys [^Socket socket] :as connection} (ws/connect port)]
    (.setSoTimeout socket (int time-for-all))
    connection))

(defn- read-short-text
  "Returns the text of the next frame: one frame of less than 126 ASCII bytes. Costs a tenth of `ws/read-text`."
  [{:keys [^InputStream in]}]
  (let [head (.read in)
        length (.read in)]
    (when-not (and (= 0x81 head) (< length 126))
      (throw (ex-info "No short text" {:head head :length length})))
    (String. (.readNBytes in length) "ISO-8859-1")))

(defn- reads-in-order
  "Reads `count` texts; returns nil if they are the numbers from 0, else the first [expected actual]."
  [connection ^long count]
  (loop [n 0]
    (when (< n count)
      (let [text (read-short-text connection)]
        (if (= text (str n))
          (recur (inc n))
          [n text])))))

(defn- finished
  "Returns the value of the future, `:timeout` if it takes too long."
  [result]
  (deref result time-for-all :timeout))

(deftest echoes
  (testing "each channel gets every message back, in order"
    (let [each (quot (long total-messages) (long channels))
          out-of-order (AtomicInteger.)]
      (doseq [dispatch raw/dispatches]
        (raw/with-server [port (fn [request]
                                 (let [expected (AtomicInteger.)]
                                   (server/as-channel request
                                                      {:on-receive (fn [ch message]
                                                                     (when (not= message (str (.getAndIncrement expected)))
                                                                       (.incrementAndGet out-of-order))
                                                                     (server/send! ch message))})))
                          {:dispatch dispatch}]
          (let [connections (vec (repeatedly channels #(connect port)))
                frames (mapv number-frame (range each))
                readers (mapv #(future (reads-in-order % each)) connections)]
            (run! deref (doall (for [part (partition-all (quot (long channels) (long senders)) connections)]
                                 (future
                                   (doseq [batch (partition-all 10 frames)
                                           connection part]
                                     (apply ws/write-bytes connection batch))))))
            (is (= (repeat channels nil) (map finished readers)) dispatch)
            (run! raw/disconnect connections))))
      (is (zero? (.get out-of-order))))))

(deftest broadcasts
  (testing "of several threads to all channels: each client gets all of each thread, in order"
    (let [each (quot (long total-messages) (* (long channels) (long senders)))
          opened (ws/events)
          heard-in-order (fn [connection]
                           (let [next-of (AtomicIntegerArray. (int senders))]
                             (every? (fn [_]
                                       (let [[_ sender n] (re-matches #"(\d+) (\d+)" (read-short-text connection))]
                                         (= (Long/parseLong n) (.getAndIncrement next-of (Integer/parseInt sender)))))
                                     (range (* each (long senders))))))]
      (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note opened ch))}) {}]
        (let [connections (vec (repeatedly channels #(connect port)))
              open (vec (repeatedly channels #(ws/next-event opened)))
              readers (mapv #(future (heard-in-order %)) connections)
              start (CountDownLatch. 1)
              sending (doall (for [sender (range senders)]
                               (future
                                 (raw/await-latch start)
                                 (dotimes [n each]
                                   (let [text (str sender " " n)]
                                     (doseq [ch open] (server/send! ch text)))))))]
          (.countDown start)
          (run! finished sending)
          (is (= (repeat channels true) (map finished readers)))
          (run! raw/disconnect connections))))))

(def ^:private deaths
  [ws/reset
   raw/disconnect
   raw/half-close
   ws/send-close
   (fn [connection]
     (ws/write-bytes connection (java.util.Arrays/copyOf (ws/frame :text "cut off") 9))
     (ws/reset connection))
   (fn [connection]
     (ws/write-bytes connection (ws/frame :text "last words"))
     (ws/reset connection))])

(deftest killed-clients
  (testing "each end is heard of exactly once"
    (let [opened (AtomicInteger.)
          closes (AtomicIntegerArray. (int total-kills))
          left (CountDownLatch. (int total-kills))]
      (raw/with-server [port (fn [request]
                               (let [number (.getAndIncrement opened)]
                                 (server/as-channel request {:on-receive (fn [ch message] (server/send! ch message))
                                                             :on-close (fn [_ _]
                                                                         (.incrementAndGet closes number)
                                                                         (.countDown left))})))
                        (raw/quiet)]
        (let [numbers (AtomicInteger.)]
          (run! deref (doall (for [_ (range senders)]
                               (future
                                 (loop [n (.getAndIncrement numbers)]
                                   (when (< n (long total-kills))
                                     (let [connection (ws/connect port)]
                                       ((nth deaths (rem n (count deaths))) connection)
                                       (raw/ended? connection)
                                       (raw/disconnect connection))
                                     (recur (.getAndIncrement numbers)))))))))
        (is (raw/await-latch left))
        (is (= {1 total-kills} (frequencies (map #(.get closes %) (range total-kills)))))
        (is (= total-kills (.get opened)))))))

(deftest pings-while-every-worker-is-blocked
  (doseq [[options running] [[{:dispatch :pool :thread 2 :allow-virtual? false} 2]
                             ;; A thread of the pool for each: how many spares are left just now is the scheduler's affair.
                             [{:dispatch :adaptive :thread 12 :allow-virtual? false} 12]
                             [{:dispatch :in-place :thread 12 :allow-virtual? false} 12]]]
    (testing options
      (let [entered (CountDownLatch. running)
            go-on (promise)]
        (raw/with-server [port (fn [request] (server/as-channel request {:on-receive (fn [_ _] (.countDown entered) @go-on)}))
                          options]
          (let [connections (vec (repeatedly 12 #(ws/connect port)))]
            (try
              (doseq [connection connections] (ws/send-text connection "block"))
              (is (raw/await-latch entered))
              (dotimes [round 3]
                (doseq [connection connections]
                  (ws/send-frame connection :ping (str "ping " round))
                  (is (= (str "ping " round) (:text (ws/read-frame connection))))))
              (finally
                (deliver go-on true)
                (run! raw/disconnect connections)))))))))
