(ns jvm.faulty
  "The program of a child JVM that has the debug build of the native library: panics, called for by their number.

  `Native` has the method `panic` here, which `jvm.panic-test` has added to a copy of the class."
  (:require [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [jvm.served :as served]
            [org.httpkit.server :as server])
  (:import (java.lang.reflect Method Modifier)
           (java.net SocketException)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)
           (org.httpkit.engine Native)))

(set! *warn-on-reflection* true)

(def ^:private disarm -1)

(defn- panic [point]
  (Native/panic (int point)))

(def ^:private nothing (byte-array 0))

(defn- call-hidden
  "Calls a method that only its package may call."
  [name types & arguments]
  (let [method (doto (.getDeclaredMethod Native name (into-array Class types)) (.setAccessible true))]
    (try
      (.invoke method nil (object-array arguments))
      (catch java.lang.reflect.InvocationTargetException e
        (throw (.getCause e))))))

(def exports
  "By the native method's name: its point in rust/jni/src/fault.rs, and a call that gets as far as the guard."
  {"start"          [1 #(Native/start nil nothing)]
   "port"           [2 #(Native/port 0)]
   "drain"          [3 #(Native/drain 0)]
   "close"          [4 #(Native/close 0)]
   "respond"        [5 #(Native/respond 0 0 nothing 0)]
   "respondBytes"   [6 #(Native/respondBytes 0 0 nothing 0 nothing 0 0)]
   "respondFile"    [7 #(Native/respondFile 0 0 nothing 0 nothing)]
   "startStream"    [8 #(Native/startStream 0 0 nothing 0)]
   "send"           [9 #(Native/send 0 0 nothing 0 0 false)]
   "abort"          [10 #(Native/abort 0 0)]
   "localAddress"   [11 #(Native/localAddress 0)]
   "remoteAddress"  [12 #(Native/remoteAddress 0)]
   "stats"          [13 #(Native/stats 0 (long-array Native/COUNTERS))]
   "observe"        [14 #(Native/observe 0 true)]
   "watch"          [15 #(Native/watch 0 0)]
   "upgrade"        [16 #(Native/upgrade 0 0 nothing 0 0 0 0)]
   "sendMessage"    [17 #(Native/sendMessage 0 0 1 nothing 0 0)]
   "closeWebSocket" [18 #(Native/closeWebSocket 0 0 1000 nothing)]
   "resume"         [19 #(Native/resume 0 0)]
   "upCalls"        [24 #(call-hidden "upCalls" [Long/TYPE Long/TYPE] 0 0)]
   "sendText"       [25 #(call-hidden "sendText" [Long/TYPE Integer/TYPE Long/TYPE Integer/TYPE] 0 (int 0) 0 (int 0))]
   "receive"        [26 #(Native/receive 0 0)]
   "panic"          [0 #(panic 0)]})

(defn native-methods
  "Returns the names of the native methods of `Native`, sorted."
  []
  (sort (for [^Method method (.getDeclaredMethods Native)
              :when (Modifier/isNative (.getModifiers method))]
          (.getName method))))

(defn export-outcome
  "Has the export panic and returns what it throws, as text."
  [name]
  (let [[point call] (exports name)]
    (try
      (panic (if (= "panic" name) disarm point))
      (str "returned " (call))
      (catch Throwable e (str e))
      (finally (panic disarm)))))

(def ^:private points
  (into {"request" 20 "up-call" 21 "task" 22 "message" 23} (for [[name [point]] exports] [name point])))

(defn- handler [{:keys [uri] :as request}]
  (case uri
    "/file"   {:body (java.io.File. "/proc/self/status")}
    "/later"  (server/as-channel request {:on-open #(server/send! % "later")})
    "/watch"  (server/as-channel request {:on-open (fn [_]) :on-close (fn [_ _])})
    "/pieces" (server/as-channel request {:on-open #(do (server/send! % "one" false) (server/send! % "two" false) (server/close %))})
    "/closing" (server/as-channel request {:on-receive (fn [channel _] (server/close channel))
                                           :on-close (fn [_ _])})
    "/address" {:body (str (:async-channel request))}
    (served/handler request)))

(defn serve [dispatch]
  (served/start handler {:dispatch dispatch :error-logger (fn [_ _]) :warn-logger (fn [_ _])}))

(defn- status-of
  "Returns the status of an answer that came whole, or :closed."
  [connection]
  (try
    (:status (raw/read-response connection) :closed)
    (catch java.net.SocketTimeoutException e (throw e))
    (catch java.io.IOException _ :closed)
    (catch clojure.lang.ExceptionInfo _ :closed)))

(defn http-outcome
  "Has the point panic under a request; returns [what the client got, whether the next request is answered]."
  [port point target]
  (panic (points point))
  (try
    [(raw/with-connection [connection port]
       (raw/write connection (raw/request "GET" target))
       (status-of connection))
     (do (panic disarm)
         (:body (raw/fetch port "GET" "/")))]
    (finally (panic disarm))))

(defn socket-outcome
  "Has the point panic under a WebSocket that sends a message; returns [what the client read, whether the next is served]."
  [port point target]
  (let [early? (= "upgrade" point)]
    (when early? (panic (points point)))
    (try
      [(raw/with-connection [connection port]
         (let [{:keys [status]} (ws/handshake connection :target target)]
           (if (not= 101 status)
             (or status :closed)
             (do (when-not early? (panic (points point)))
                 (try
                   (ws/send-text connection "one")
                   (ws/send-text connection "two")
                   (ws/send-close connection)
                   (:type (ws/read-frame connection) :closed)
                   ;; Cut before everything was sent.
                   (catch SocketException _ :closed))))))
       (do (panic disarm)
           (:body (raw/fetch port "GET" "/")))]
      (finally (panic disarm)))))

(def ^:private ends (LinkedBlockingQueue.))

(defn serve-ends
  "Starts a server whose channels tell `end-outcome` of their ends. Returns its port."
  []
  (served/start (fn [{:keys [uri] :as request}]
                  (if (= "/" uri)
                    {:body "fine"}
                    (server/as-channel request {:on-open #(server/send! % "open" false)
                                                :on-close (fn [_ status] (.put ^LinkedBlockingQueue ends status))})))
                {:error-logger (fn [_ _]) :warn-logger (fn [_ _])}))

(defn end-outcome
  "Has the point panic as the client of a channel leaves; returns all that on-close is told."
  [port point socket?]
  (let [connection (if socket?
                     (doto (ws/connect port :target "/socket") ws/read-text)
                     (doto (raw/connect port) (raw/write (raw/request "GET" "/stream")) raw/read-head))]
    (panic (points point))
    (try
      (raw/disconnect connection)
      [(.poll ^LinkedBlockingQueue ends raw/patience-millis TimeUnit/MILLISECONDS)
       ;; What would be told twice is told before the next answer.
       (do (panic disarm)
           (:body (raw/fetch port "GET" "/")))
       (.poll ^LinkedBlockingQueue ends)]
      (finally (panic disarm)))))

(defn start-outcome
  "Has the point panic while a server starts; returns what that throws."
  [point]
  (panic (points point))
  (try
    (str "started on " (serve :pool))
    (catch Throwable e (str e))
    (finally (panic disarm))))

(defn stop-outcome
  "Has the point panic while a server stops; returns what stopping returned or threw, and whether its port is still open."
  [port point]
  (panic (points point))
  [(try (served/stop {:timeout 100}) (catch Throwable e (str e)))
   (do (panic disarm)
       (try (raw/with-connection [_ port] :open) (catch java.io.IOException _ :closed)))])
