(ns org.httpkit.engine.native-text-test
  "Long texts, which JVMs that can encode outside of the heap: what arrives is what would have arrived without."
  (:require [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.lang.reflect Field)
           (org.httpkit.engine NativeText)))

(set! *warn-on-reflection* true)

(def ^:private can-encode-there? (<= 22 (.feature (Runtime/version))))

(defn- loaded? []
  (let [^Field field (doto (.getDeclaredField NativeText "isLoaded") (.setAccessible true))]
    (.getBoolean field nil)))

(defn- sized [length text]
  (string/join (repeat length text)))

(def ^:private ordinary (sized 2000 "x"))

(defn- with-loaded
  "Calls `f` with the server's end of a WebSocket and the client's, once long texts take the way they will take."
  [f]
  (let [channels (ws/events)]
    (raw/with-server [port #(server/as-channel % {:on-open (fn [ch] (ws/note channels ch))})]
      (ws/with-socket [connection port]
        (let [ch (ws/next-event channels)
              send! (fn [text]
                      (is (true? (server/send! ch text)))
                      (:text (ws/read-frame connection)))]
          (when can-encode-there?
            (is (raw/await-true #(and (= ordinary (send! ordinary)) (loaded?)))))
          (f ch connection send!))))))

(deftest texts
  (with-loaded
    (fn [_ _ send!]
      (doseq [[what text] {"the longest on the heap"     (sized 1023 "y")
                           "the shortest that is not"    (sized 1024 "y")
                           "the longest that is not"     (sized 21845 "y")
                           "one more"                    (sized 21846 "y")
                           "two bytes a char"            (sized 21845 "\u00e9")
                           "three bytes, and a full page" (sized 21845 "\u4e2d")
                           "more than a page"            (sized 25000 "\u4e2d")
                           "four bytes for two chars"    (sized 10922 "\ud83d\ude00")
                           "one that is not ASCII"       (str ordinary "\u00e9")
                           "NULs"                        (sized 3000 "\u0000")}]
        ;; One that is not ASCII sends the next 32 another way.
        (dotimes [_ 33]
          (is (= ordinary (send! ordinary))))
        (is (= text (send! text)) what))
      (testing "half of a pair is a question mark, as in getBytes"
        (dotimes [_ 33]
          (send! ordinary))
        (is (= (str ordinary "?") (send! (str ordinary "\ud83d"))))))))

(deftest senders
  (testing "each text is whole, whatever others send meanwhile"
    (with-loaded
      (fn [ch connection _]
        (let [letters (map str "abcdefghijklmnopqrstuvwx")
              senders (doall (for [letter letters]
                               (future (dotimes [_ 100]
                                         (server/send! ch (sized 5000 letter))))))
              received (frequencies (repeatedly (* 100 (count letters)) #(:text (ws/read-frame connection))))]
          (run! deref senders)
          (is (= (zipmap (map #(sized 5000 %) letters) (repeat 100)) received)))))))
