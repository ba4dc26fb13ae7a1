(ns integration.recipes-test
  "Every snippet of docs/RECIPES.md: the Clojure of each section is evaluated and put to use, its nginx configuration
  serves, and its JavaScript stands in an example whose page is tested in a browser."
  (:require [clojure.java.io :as io]
            [clojure.java.shell :refer [sh]]
            [clojure.string :as string]
            [clojure.test :as test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [integration.websocket :as websocket]
            [org.httpkit.server :as server])
  (:import (java.io BufferedReader)
           (java.net HttpURLConnection ServerSocket URL)))

(use-fixtures :each temporary/cleanup)

;;;; The document

(defn- blocks
  "Returns [language text] for each fenced block, in order."
  [text]
  (map (fn [[_ language block]] [language block])
       (re-seq #"(?ms)^```(\w+)\n(.*?)^```$" text)))

(def ^:private document (slurp "docs/RECIPES.md"))

(def ^:private sections
  "The text of each section by its title; the first, before any title, under nil."
  (let [[prelude & sections] (string/split document #"(?m)^## ")]
    (into {nil prelude} (map #(string/split % #"\n" 2)) sections)))

(defn- snippets [title language]
  (map second (filter #(= language (first %)) (blocks (get sections title)))))

(defn- evaluate
  "Evaluates the Clojure of the section in a namespace of its own; returns the namespace."
  [title]
  (let [namespace (create-ns (gensym "recipe"))]
    (binding [*ns* namespace]
      (refer-clojure)
      (run! load-string (concat (snippets nil "clojure") (snippets title "clojure"))))
    namespace))

(defmacro ^:private defrecipe
  "Defines the test of the section called `title`: in the body, `recipe` is a function from a name that its snippets
  define to the value."
  [name title [recipe] & body]
  `(deftest ~(vary-meta name assoc ::title title)
     (let [namespace# (evaluate ~title)
           ~recipe (fn [name#] @(ns-resolve namespace# name#))]
       (try ~@body (finally (remove-ns (ns-name namespace#)))))))

(deftest every-snippet-is-tested
  (let [tested (set (keep (comp ::title meta) (vals (ns-publics 'integration.recipes-test))))
        pages (string/join (map slurp (filter #(string/ends-with? (str %) ".html") (file-seq (io/file "examples")))))
        unindented #(string/replace % #"(?m)^ +" "")]
    (is (< 5 (count tested)))
    (doseq [title (keys sections), [language snippet] (blocks (get sections title))]
      (case language
        "clojure" (is (contains? (conj tested nil) title))
        "js" (is (string/includes? (unindented pages) (unindented snippet)))
        "nginx" (is (= "Behind a reverse proxy" title))))
    (testing "the contents list every section"
      (is (= (remove nil? (map second (re-seq #"(?m)^## (.*)$" document)))
             (map second (re-seq #"(?m)^- \[(.*)\]\(#" (get sections nil))))))))

;;;; What the sections need

(defmacro ^:private with-stream
  "Runs the body with a BufferedReader of an answer that goes on, and disconnects."
  [[reader port target] & body]
  `(let [connection# ^HttpURLConnection (.openConnection (URL. (str "http://127.0.0.1:" ~port ~target)))]
     (try
       (.setReadTimeout connection# raw/patience-millis)
       (let [~reader (io/reader (.getInputStream connection#))]
         ~@body)
       (finally (.disconnect connection#)))))

(defn- lines [^BufferedReader reader n]
  (vec (repeatedly n #(.readLine reader))))

(defn- await-count
  "Waits until the collection in the atom has `n` members."
  [collection n]
  (let [reached (promise)
        look (fn [value] (when (= n (count value)) (deliver reached true)))]
    (add-watch collection reached (fn [_ _ _ value] (look value)))
    (look @collection)
    (try
      (is (true? (raw/await-value reached)) (str "waiting for " n " members"))
      (finally (remove-watch collection reached)))))

(defn- port-of [stop]
  (:local-port (meta stop)))

;;;; Sections

(defrecipe streaming "Streaming an answer" [recipe]
  (raw/with-server [port (recipe 'numbers) {}]
    (with-stream [reader port "/"]
      (is (= ["0" "1" "2"] (lines reader 3)))))
  (raw/with-server [port (recipe 'report) {}]
    (is (= "started\nread\nsorted\nwritten\n" (:body (raw/fetch port "GET" "/"))))))

(defrecipe large-uploads "Large uploads" [recipe]
  (let [stop ((recipe 'start!) 0)]
    (try
      (doseq [length [0 10 1000000]]
        (is (= [201 (str length " bytes\n")]
               ((juxt :status :body)
                (raw/fetch (port-of stop) "POST" "/" :body (string/join (repeat length "u")))))))
      (finally (stop)))))

(defrecipe server-sent-events "Server-sent events" [recipe]
  (raw/with-server [port (recipe 'events) {}]
    (with-stream [ada port "/"]
      (with-stream [bob port "/"]
        (await-count (recipe 'listeners) 2)
        ((recipe 'publish!) 7 "one\ntwo")
        (is (= ["id: 7" "data: one" "data: two" ""] (lines ada 4) (lines bob 4))))
      (await-count (recipe 'listeners) 1)
      ((recipe 'keep-alive!))
      (is (= [":" ""] (lines ada 2))))
    (await-count (recipe 'listeners) 0)))

(defrecipe long-polling "Long polling" [recipe]
  (raw/with-server [port (recipe 'news) {}]
    (let [answers (doall (repeatedly 2 #(future (raw/fetch port "GET" "/"))))]
      (await-count (recipe 'waiting) 2)
      ((recipe 'announce!) "größer")
      (is (= [[200 "größer"] [200 "größer"]] (map (comp (juxt :status :body) raw/await-value) answers)))
      (await-count (recipe 'waiting) 0))
    (testing "a client that gives up"
      (raw/with-connection [connection port]
        (raw/write connection (raw/request "GET" "/"))
        (await-count (recipe 'waiting) 1))
      (await-count (recipe 'waiting) 0))))

(defrecipe web-socket "WebSocket" [recipe]
  (raw/with-server [port ((recipe 'wrap-origin) (recipe 'echo) "https://here") {}]
    (is (= 426 (:status (raw/fetch port "GET" "/"))))
    (is (thrown-with-msg? Exception #"WebSocketHandshakeException"
                          (websocket/connect port "/" :headers {"Origin" "https://elsewhere"})))
    (let [closed (promise)]
      (with-redefs [println (fn [_ status] (deliver closed status))]
        (websocket/with-connection [connection port "/" :headers {"Origin" "https://here"}]
          (is (= "welcome" (websocket/receive connection)))
          (websocket/send-message connection "größer")
          (is (= "größer" (websocket/receive connection)))
          (websocket/send-message connection (byte-array [1 -1]))
          (is (= [1 -1] (vec (websocket/receive connection))))
          (websocket/close connection 1000 "")
          (is (= :normal (raw/await-value closed))))))))

(defrecipe broadcast "Broadcast" [recipe]
  (raw/with-server [port (recipe 'enter) {}]
    (websocket/with-connection [ada port "/"]
      (websocket/with-connection [bob port "/"]
        (await-count (recipe 'people) 2)
        (websocket/send-message ada "hello")
        (is (= "hello" (websocket/receive ada) (websocket/receive bob))))
      (await-count (recipe 'people) 1))
    (await-count (recipe 'people) 0)))

(defrecipe slow-clients "Slow clients" [recipe]
  (let [channels (atom [])
        closed (promise)
        stop ((recipe 'start) (fn [request]
                                (server/as-channel request {:on-open #(swap! channels conj %)
                                                            :on-close #(deliver closed %&)})))]
    (try
      (websocket/with-connection [_slow (port-of stop) "/" :read? false]
        (await-count channels 1)
        (websocket/with-connection [quick (port-of stop) "/"]
          (await-count channels 2)
          (let [[to-slow to-quick] @channels
                message (apply str (repeat 65536 "x"))
                taken (count (take-while true? (repeatedly 1024 #(server/send! to-slow message))))]
            (is (< taken 1024) "what the system's buffers and :max-pending do not hold is refused")
            (is (= [to-slow :unknown] (raw/await-value closed)))
            (is (server/send! to-quick "still here"))
            (is (= "still here" (websocket/receive quick))))))
      (finally (stop)))))

(defrecipe clients-that-have-gone "Clients that have gone" [recipe]
  (let [run-server server/run-server
        closed (promise)
        handler (fn [request]
                  (server/as-channel request {:on-receive server/send!
                                              :on-close #(deliver closed %&)}))
        handshake {"Connection" "Upgrade", "Upgrade" "websocket", "Sec-WebSocket-Version" "13"
                   "Sec-WebSocket-Key" "AAAAAAAAAAAAAAAAAAAAAA=="}
        stop (with-redefs [server/run-server (fn [handler options]
                                               (run-server handler (update options :ws-ping-interval quot 100)))]
               ((recipe 'start) handler))]
    (try
      (websocket/with-connection [answers (port-of stop) "/"]
        (raw/with-connection [silent (port-of stop)]
          (raw/write silent (raw/request "GET" "/" :headers handshake))
          (is (= 101 (:status (raw/read-head silent))))
          (is (= :going-away (second (raw/await-value closed)))))
        (websocket/send-message answers "still here")
        (is (= "still here" (websocket/receive answers))))
      (finally (stop)))))

(defrecipe stopping "Stopping" [recipe]
  (let [streams (recipe 'streams)
        stop (server/run-server
              (fn [request]
                (server/as-channel request {:on-open (fn [channel]
                                                       (when-not (:websocket? request)
                                                         (server/send! channel "begun" false)
                                                         (swap! streams conj channel)))}))
              {:port 0 :ip "127.0.0.1"})]
    (raw/with-connection [stream (port-of stop)]
      (raw/write stream (raw/request "GET" "/"))
      (await-count streams 1)
      (websocket/with-connection [socket (port-of stop) "/"]
        ((recipe 'stop-with-the-process!) stop)
        ((recipe 'stop!) stop)
        (is (= "begun" (:body (raw/read-response stream))))
        (is (= [:closed 1001 ""] (websocket/receive socket)))))))

(defn- nginx [directory & arguments]
  (let [{:keys [exit err]} (apply sh "nginx" "-p" (str directory) "-c" "nginx.conf" arguments)]
    (is (= 0 exit) err)))

(defn- with-nginx
  "Runs nginx with the section's configuration in front of the application's port, and calls `f` with its own."
  [application-port f]
  (let [directory (temporary/directory)
        port (with-open [free (ServerSocket. 0)] (.getLocalPort free))
        configuration (-> (string/join (snippets "Behind a reverse proxy" "nginx"))
                          (string/replace "listen 80;" (str "listen 127.0.0.1:" port ";"))
                          (string/replace "127.0.0.1:8090" (str "127.0.0.1:" application-port)))]
    (spit (io/file directory "nginx.conf")
          (str "user root; pid nginx.pid; error_log error.log;\nevents {}\nhttp { access_log off;\n" configuration "}\n"))
    (nginx directory) ; Returns when it listens, and goes on in the background.
    (try
      (f port)
      (finally (nginx directory "-s" "stop")))))

(defrecipe behind-a-reverse-proxy "Behind a reverse proxy" [recipe]
  (if (zero? (:exit (sh "sh" "-c" "command -v nginx")))
    (let [[events web-socket] (map evaluate ["Server-sent events" "WebSocket"])
          handler (fn [{:keys [uri remote-addr headers] :as request}]
                    (case uri
                      "/events" (@(ns-resolve events 'events) request)
                      "/echo" (@(ns-resolve web-socket 'echo) request)
                      {:body (str remote-addr " " (headers "x-forwarded-for") " " (headers "host"))}))
          stop ((recipe 'start) handler)]
      (try
        (with-nginx (port-of stop)
          (fn [port]
            (is (= "127.0.0.1 127.0.0.1 localhost"
                   (:body (raw/fetch port "GET" "/" :headers {"X-Forwarded-For" "203.0.113.7"}))))
            (is (= "127.0.0.1 127.0.0.1 localhost"
                   (:body (raw/fetch port "GET" "/events/whose" :headers {"X-Forwarded-For" "203.0.113.7"}))))
            (with-stream [reader port "/events"]
              (await-count @(ns-resolve events 'listeners) 1)
              (doseq [id [1 2 3]] ; One at a time: nothing waits for a buffer to fill.
                (@(ns-resolve events 'publish!) id "news")
                (is (= [(str "id: " id) "data: news" ""] (lines reader 3)))))
            (websocket/with-connection [connection port "/echo"]
              (is (= "welcome" (websocket/receive connection)))
              (websocket/send-message connection "hello")
              (is (= "hello" (websocket/receive connection))))))
        (finally (stop))))
    (skip "nginx is not installed")))

(defrecipe testing-applications "Testing" [recipe]
  (let [results (atom [])]
    (binding [test/report #(swap! results conj (:type %))]
      ((recipe 'says-hello))
      ((recipe 'shouts)))
    (is (= {:pass 3} (select-keys (frequencies @results) [:pass :fail :error])))))
