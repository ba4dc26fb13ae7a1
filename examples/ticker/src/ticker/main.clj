(ns ticker.main
  "A live ticker: server-sent events, one answer that never ends.

  Try: `make run EXAMPLE=ticker` and open http://localhost:8090/. End the server with Ctrl-C, start it again, and watch
  the page: it comes back by itself, and nothing is missing. A terminal does as well:

    curl -N http://localhost:8090/prices
    curl -N -H 'Last-Event-ID: <an id from above>' http://localhost:8090/prices"
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [examples.command :as command]
            [org.httpkit.server :as server])
  (:import (java.util Locale)
           (java.util.concurrent Executors ScheduledExecutorService TimeUnit)))

(def ^:private period-millis 500)

(def ^:private most-missed
  "Ticks that a client gets at once, at most, when it comes back: a minute."
  120)

(defn- current-tick
  "Returns the number of the newest tick. It comes from the clock, so that it goes on where it was after a restart."
  ^long []
  (quot (System/currentTimeMillis) (long period-millis)))

(defn- price
  "Returns the price at a tick: made up, but the same whenever it is asked for, so that no history need be kept."
  ^double [^long tick]
  (+ 100.0 (* 6.0 (Math/sin (/ tick 41.0))) (* 2.5 (Math/sin (/ tick 7.0))) (Math/sin (* 1.7 tick))))

(defn- event [tick]
  (String/format Locale/ROOT "id: %d\ndata: %.2f\n\n" (to-array [tick (price tick)])))

(defn- catch-up!
  "Sends the channel every tick after `position`, the last it has had. Two threads may do so at once: the one that
  opens the channel, and the clock's."
  [channel position]
  (locking position
    (let [latest (current-tick)
          had (max (long @position) (- latest (long most-missed)))]
      (when (< had latest)
        (server/send! channel (string/join (map event (range (inc had) (inc latest)))) false)
        (reset! position latest)))))

(defn- last-event-id
  "Returns the number of the last tick the client has had, or nil. A browser that reconnects says it in a header; a page
  that had to start anew, in the query."
  [{:keys [headers query-string]}]
  (some->> (or (get headers "last-event-id") query-string)
           (re-matches #"(?:after=)?(\d{1,15})")
           second
           Long/parseLong))

(defn- subscribe [listeners request]
  (let [position (atom (or (last-event-id request) (- (current-tick) 20)))]
    (server/as-channel
     request
     {:on-open (fn [channel]
                 (server/send! channel
                               {:status 200
                                :headers {"Content-Type" "text/event-stream"
                                          "Cache-Control" "no-cache"}
                                :body "retry: 500\n\n"} ; milliseconds until the browser tries again
                               false)
                 (catch-up! channel position)
                 (swap! listeners assoc channel position)
                 ;; Set after the listener has entered: a client that has gone by now leaves at once.
                 (server/on-close channel (fn [_status] (swap! listeners dissoc channel))))})))

(defn- handler [listeners]
  (fn [{:keys [uri] :as request}]
    (case uri
      "/" {:status 200
           :headers {"Content-Type" "text/html; charset=utf-8"}
           :body (slurp (io/resource "ticker/index.html"))}
      "/prices" (subscribe listeners request)
      {:status 404 :body "Not here"})))

(defn start
  "Starts the ticker on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (let [listeners (atom {})
        clock (Executors/newSingleThreadScheduledExecutor)
        tick #(run! (fn [[channel position]] (catch-up! channel position)) @listeners)
        stop (server/run-server (handler listeners) {:port port})]
    (.scheduleAtFixedRate ^ScheduledExecutorService clock tick 0 period-millis TimeUnit/MILLISECONDS)
    (with-meta
      (fn []
        (.shutdown clock)
        (run! server/close (keys @listeners)) ; Left open, they would be waited for until the timeout.
        (stop :timeout 2000))
      (meta stop))))

(defn -main
  "Serves on PORT, 8090 unless it is set, until the process is asked to end."
  []
  (command/run "The ticker" start))
