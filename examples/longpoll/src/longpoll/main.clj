(ns longpoll.main
  "A notice board by long polling: a request for news is answered when there is some.

  Try: `make run EXAMPLE=longpoll`, open http://localhost:8090/ in two windows and pin a note in one. Or wait in one
  terminal and post from another:

    curl 'http://localhost:8090/notes?after=0'
    curl --data 'Lunch at noon' http://localhost:8090/notes"
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [examples.command :as command]
            [org.httpkit.server :as server])
  (:import (java.util.concurrent Executors ScheduledExecutorService TimeUnit)))

(def ^:private wait-seconds
  "How long a request may wait for news; proxies commonly give up after 30 or 60 seconds."
  25)

(def ^:private notes-kept 100)

(defn- text [status body]
  {:status status
   :headers {"Content-Type" "text/plain; charset=utf-8", "Cache-Control" "no-store"}
   :body body})

(defn- answer-with-news!
  "Answers the request waiting in the channel if there are notes after `after`, the last its client has seen."
  [channel after notes]
  (when-let [news (seq (filter #(< (long after) (long (:id %))) notes))]
    ;; Two threads may come here for one channel; `send!` answers it once, and returns false the second time.
    (server/send! channel (text 200 (string/join (for [{:keys [id note]} news] (str id " " note "\n")))))))

(defn- wait-for-news [board ^ScheduledExecutorService clock request]
  (let [after (Long/parseLong (or (second (re-find #"\bafter=(\d{1,15})\b" (str (:query-string request)))) "0"))]
    (server/as-channel
     request
     {:on-open (fn [channel]
                 ;; First in, then a look: a note pinned in between is seen by whoever pins it, by us, or by both.
                 (swap! board update :waiting assoc channel after)
                 (server/on-close channel (fn [_status] (swap! board update :waiting dissoc channel)))
                 (answer-with-news! channel after (:notes @board))
                 (.schedule clock ^Runnable #(server/send! channel (text 204 nil)) (long wait-seconds)
                            TimeUnit/SECONDS))})))

(defn- pin
  "Adds a note; its id is the time, so that ids go on rising after a restart."
  [board note]
  (let [newest (or (:id (peek (:notes board))) 0)
        id (max (inc (long newest)) (System/currentTimeMillis))]
    (update board :notes #(vec (take-last notes-kept (conj % {:id id :note note}))))))

(defn- post [board {:keys [body]}]
  (let [note (string/trim (string/replace (if body (slurp body) "") #"\s+" " "))]
    (if (string/blank? note)
      (text 400 "An empty note\n")
      (let [{:keys [notes waiting]} (swap! board pin note)]
        (doseq [[channel after] waiting]
          (answer-with-news! channel after notes))
        (text 201 "Pinned\n")))))

(defn- handler [board clock]
  (fn [{:keys [request-method uri] :as request}]
    (case [request-method uri]
      [:get "/"] {:status 200
                  :headers {"Content-Type" "text/html; charset=utf-8"}
                  :body (slurp (io/resource "longpoll/index.html"))}
      [:get "/notes"] (wait-for-news board clock request)
      [:post "/notes"] (post board request)
      (text 404 "Not here\n"))))

(defn start
  "Starts the board on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (let [board (atom {:notes [] :waiting {}})
        clock (Executors/newSingleThreadScheduledExecutor)
        stop (server/run-server (handler board clock) {:port port :max-body 1000})]
    (with-meta
      (fn []
        (.shutdownNow clock)
        (run! #(server/send! % (text 204 nil)) (keys (:waiting @board)))
        (stop :timeout 2000))
      (meta stop))))

(defn -main
  "Serves on PORT, 8090 unless it is set, until the process is asked to end."
  []
  (command/run "The notice board" start))
