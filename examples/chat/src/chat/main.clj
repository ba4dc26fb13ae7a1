(ns chat.main
  "A chat room over WebSocket, whose pages come back by themselves when the server was away.

  Try: `make run EXAMPLE=chat`, open http://localhost:8090/ in two windows and talk. End the server with Ctrl-C and start
  it again: both pages say so, and go on."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [examples.command :as command]
            [org.httpkit.server :as server]))

;; What goes over the wire is lines of text:
;;   page to server   <name> LF <text>
;;   server to page   "said" LF <id> LF <name> LF <text>
;;                    "here" LF <number of people>

(def ^:private messages-kept 100)

(defn- said [{:keys [id name text]}]
  (string/join "\n" ["said" id name text]))

(defn- tell-all! [{:keys [people]} message]
  (run! #(server/send! % message) people))

(defn- announce-people! [room]
  (tell-all! room (str "here\n" (count (:people room)))))

(defn- join!
  "Lets the channel into the room; it gets what was said since `after`, the last id its page has seen."
  [room channel after]
  (locking room ; What is said meanwhile comes after what was said before, for everybody.
    (doseq [message (:messages @room)
            :when (< (long after) (long (:id message)))]
      (server/send! channel (said message)))
    (announce-people! (swap! room update :people conj channel))))

(defn- leave! [room channel]
  (locking room
    (announce-people! (swap! room update :people disj channel))))

(defn- remember
  "Adds a message; its id is the time, so that ids go on rising after a restart."
  [{:keys [messages] :as room} name text]
  (let [newest (or (:id (peek messages)) 0)
        id (max (inc (long newest)) (System/currentTimeMillis))]
    (assoc room :messages (vec (take-last messages-kept (conj messages {:id id :name name :text text}))))))

(defn- say! [room message]
  (let [[name text] (when (string? message) (string/split message #"\n" 2))]
    (when-not (or (string/blank? name) (string/blank? text))
      (locking room
        (let [now (swap! room remember name text)]
          (tell-all! now (said (peek (:messages now)))))))))

(defn- enter [room request]
  (let [after (Long/parseLong (or (second (re-find #"\bafter=(\d{1,15})\b" (str (:query-string request)))) "0"))]
    (if (:websocket? request)
      (server/as-channel
       request
       {:on-open (fn [channel]
                   (join! room channel after)
                   ;; Set after the channel has joined: a client that has gone by now leaves at once.
                   (server/on-close channel (fn [_status] (leave! room channel))))
        :on-receive (fn [_channel message] (say! room message))})
      {:status 426 :headers {"Upgrade" "websocket"} :body "This is for WebSockets"})))

(defn- handler [room]
  (fn [{:keys [uri] :as request}]
    (case uri
      "/" {:status 200
           :headers {"Content-Type" "text/html; charset=utf-8"}
           :body (slurp (io/resource "chat/index.html"))}
      "/room" (enter room request)
      {:status 404 :body "Not here"})))

(defn start
  "Starts the chat on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (server/run-server (handler (atom {:people #{} :messages []}))
                     {:port port
                      :max-ws 4096
                      ;; Finds the people whose network has gone without a word.
                      :ws-ping-interval 20000}))

(defn -main
  "Serves on PORT, 8090 unless it is set, until the process is asked to end."
  []
  (command/run "The chat" start :timeout 2000))
