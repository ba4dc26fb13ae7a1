(ns immutant.web-test
  "run, stop and server of immutant.web: options, dispatch, life."
  (:require [clojure.set :as set]
            [clojure.test :refer [are deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [immutant.web :as web]
            [immutant.web.serving :as serving]
            [immutant.web.undertow :as undertow])
  (:import (java.net BindException ConnectException InetAddress ServerSocket)))

(defn- free-port
  "Returns a port that was free a moment ago."
  []
  (with-open [socket (ServerSocket. 0)]
    (.getLocalPort socket)))

(def ^:private ^:dynamic *port* nil)

(defn- with-port [test]
  (binding [*port* (free-port)]
    (test)))

(use-fixtures :each with-port)

(defn- saying [text]
  (fn [_] {:status 200 :body text}))

(def hello (saying "hello"))

(defn- body
  "Returns the body the client gets, or the status if that is not 200."
  ([target] (body *port* target))
  ([port target]
   (let [{:keys [status body]} (raw/fetch port "GET" target)]
     (if (= 200 status) body status))))

(defn- refused? [port]
  (try
    (raw/disconnect (raw/connect port))
    false
    (catch ConnectException _ true)))

(deftest options-of-run
  (testing "the returned map has the defaults"
    (let [options (web/run hello :port *port*)]
      (is (set/subset? #{:host :port :path :virtual-host :dispatch? :auto-start :static-dir :configuration :servlet-name
                         :filter-map :contexts}
                       (set (keys options))))
      (is (= ["localhost" *port* "/"] ((juxt :host :port :path) options)))
      (web/stop options)))
  (testing "as a map, as keywords and values, with strings"
    (doseq [options [[{:port *port* :path "/x"}]
                     [:port *port* :path "/x"]
                     [{"port" (str *port*) "--path" "/x"}]
                     [{:port *port* :path "/x" :ssl-port nil :http2? nil :keystore "k" :key-password "p"}]
                     [(assoc (undertow/options "port" *port* ":io-threads" "1" :worker-threads 2) :path "/x")]]
            :let [running (apply web/run hello options)]]
      (is (= "hello" (body "/x")))
      (is (true? (web/stop running)))))
  (testing "unknown ones and values that cannot be are refused, before anything listens"
    (are [pattern options] (thrown-with-msg? IllegalArgumentException pattern (web/run hello (assoc options :port *port*)))
      #":invalid is not a valid option for run, valid options are: .*:path" {:invalid true}
      #":path must be a string" {:path 5}
      #":host must be a host name" {:host 5}
      #":virtual-host must be" {:virtual-host 5}
      #":virtual-host must be" {:virtual-host []}
      #":worker-threads must be a number from 1" {:worker-threads 0}
      #":server-options must be a map" {:server-options 1}
      #":default-charset must be the name of a charset" {:default-charset "none such"}
      #":configuration must be absent or nil" {:configuration {}}
      #":ajp-port must be absent or nil" {:ajp-port 1}
      #":ssl-port must be absent or nil, got .8443.: this server does not speak TLS" {:ssl-port "8443"}
      #":static-dir must be absent or nil" {:static-dir "public"}
      #":servlet-name must be absent or nil" {:servlet-name "s"}
      #":filter-map must be absent or nil" {:filter-map {}})
    (is (thrown-with-msg? IllegalArgumentException #":port must be a number from 0 to 65535, got \"abc\"" (web/run hello :port "abc")))
    (is (thrown-with-msg? IllegalArgumentException #"The handler must be a function or a var" (web/run (Object.) :port *port*)))
    (is (refused? *port*)))
  (testing "stop checks them, too"
    (is (thrown-with-msg? IllegalArgumentException #":invalid is not a valid option for stop" (web/stop {:invalid true}))))
  (testing "metadata for luminus-immutant"
    (is (set/subset? #{:host :port :path :io-threads :ssl-port :keystore :http2? :contexts}
                     (:valid-options (meta #'web/run))))))

(deftest handlers
  (testing "a var"
    (let [running (web/run #'hello :port *port*)]
      (is (= "hello" (body "/")))
      (web/stop running)))
  (testing "with :dispatch? false"
    (let [running (web/run hello :port *port* :dispatch? false)]
      (is (= "hello" (body "/")))
      (web/stop running))))

(deftest names
  (testing "none but Immutant's: applications refer to all, beside names of their own"
    (is (= '#{run stop server run-dmc run-dmc*} (set (keys (ns-publics 'immutant.web)))))))

(deftest uploads
  (let [size (fn [request] {:body (str (count (.readAllBytes ^java.io.InputStream (:body request))))})
        post (fn [port length] ((juxt :status :body) (raw/fetch port "POST" "/" :body (apply str (repeat length "x")))))]
    (testing "8 MiB by default"
      (serving/with-run [port size]
        (raw/with-connection [connection port]
          (raw/write connection (raw/request "POST" "/" :headers {"Content-Length" (inc (* 8 1024 1024))}))
          (is (= 413 (:status (raw/read-response connection)))))))
    (testing "or what :server-options say"
      (serving/with-run [port size {:server-options {:max-body 10}}]
        (is (= [200 "10"] (post port 10)))
        (is (= 413 (first (post port 11))))))))

(deftest paths
  (testing "the longest prefix counts, :context and :path-info say how"
    (let [tell (fn [name] (fn [{:keys [uri context path-info]}] {:body (pr-str [name uri context path-info])}))
          root (web/run (tell :root) :port *port*)
          howdy (web/run (tell :howdy) :port *port* :path "/howdy")
          deep (web/run (tell :deep) :port *port* :path "/howdy/deep/")
          spaced (web/run (tell :spaced) :port *port* :path "/x y")]
      (are [target expected] (= expected (read-string (body target)))
        "/" [:root "/" "" "/"]
        "/other" [:root "/other" "" "/other"]
        "/howdy" [:howdy "/howdy" "/howdy" "/"]
        "/howdy/" [:howdy "/howdy/" "/howdy" "/"]
        "/howdy/x%2By?a=b" [:howdy "/howdy/x%2By" "/howdy" "/x%2By"]
        "/howdyx" [:root "/howdyx" "" "/howdyx"]
        "/howdy/deep/x" [:deep "/howdy/deep/x" "/howdy/deep" "/x"]
        "/howdy/deeper" [:howdy "/howdy/deeper" "/howdy" "/deeper"]
        "/how%64y/x%2By" [:howdy "/how%64y/x%2By" "/howdy" "/x%2By"]
        "/x%20y" [:spaced "/x%20y" "/x y" "/"]
        "/x%20y/%7a" [:spaced "/x%20y/%7a" "/x y" "/%7a"])
      (testing "stop uncovers the shorter one"
        (is (true? (web/stop deep)))
        (is (= :howdy (first (read-string (body "/howdy/deep/x")))))
        (is (true? (web/stop :port *port* :path "/howdy")))
        (is (= :root (first (read-string (body "/howdy")))))
        (is (nil? (web/stop howdy))))
      (run! web/stop [root spaced])))
  (testing "nothing there is a 404"
    (let [running (web/run hello :port *port* :path "/x")]
      (is (= 404 (body "/")))
      (web/stop running)))
  (testing "the same path again replaces"
    (let [running (web/run hello :port *port*)]
      (web/run (saying "other") :port *port*)
      (is (= "other" (body "/")))
      (web/stop running))))

(deftest virtual-hosts
  (testing "several for one handler"
    (let [all (-> (web/run hello :port *port* :virtual-host ["App1.example" "app2.example"])
                  (assoc :virtual-host "app3.example")
                  (->> (web/run (saying "howdy"))))
          fetch (fn [host]
                  (raw/with-connection [connection *port*]
                    (raw/write connection (str "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"))
                    (let [{:keys [status body]} (raw/read-response connection)]
                      (if (= 200 status) body status))))]
      (are [host expected] (= expected (fetch host))
        "app1.example" "hello"
        "APP2.example:8080" "hello"
        "app3.example" "howdy"
        "localhost" 404)
      (is (true? (web/stop :port *port* :virtual-host "app1.example")))
      (is (= [404 "hello" "howdy"] (map fetch ["app1.example" "app2.example" "app3.example"])))
      (testing "a host without handlers of its own gets those of none"
        (let [other (web/run (saying "any") :port *port*)]
          (is (= ["any" "hello"] (map fetch ["app1.example" "app2.example"])))
          (web/stop other)))
      (is (true? (web/stop all)))
      (is (refused? *port*))
      (is (nil? (web/stop all))))))

(deftest several-runs
  (testing "threaded, on several servers"
    (let [second-port (free-port)
          everything (-> (web/run hello :port *port*)
                         (assoc :path "/howdy")
                         (->> (web/run (saying "howdy")))
                         (merge {:path "/" :port second-port})
                         (->> (web/run (saying "ola"))))]
      (is (= ["hello" "howdy" "ola"] [(body "/") (body "/howdy") (body second-port "/")]))
      (is (= [{:virtual-host nil :path "/howdy"} {:virtual-host nil :path "/"}]
             (map #(select-keys % [:virtual-host :path])
                  (get (:contexts everything) (web/server :port *port*)))))
      (is (= 2 (count (web/server everything))))
      (is (true? (web/stop everything)))
      (is (and (refused? *port*) (refused? second-port)))
      (is (nil? (web/stop everything)))))
  (testing "port 0, the bound one is returned, and finds the server again"
    (let [one (web/run (saying "one") :port 0)
          two (web/run (saying "two") :port "0" :worker-threads 2)
          both (web/run (saying "more") (assoc two :path "/more"))]
      (is (not= (:port one) (:port two)))
      (is (= (:port two) (:port both)))
      (is (= ["one" "two" "more"] [(body (:port one) "/") (body (:port two) "/") (body (:port two) "/more")]))
      (is (true? (web/stop one)))
      (is (true? (web/stop both)))
      (is (refused? (:port two))))))

(deftest stopping
  (testing "the last handler takes the server with it"
    (let [root (web/run hello :port *port*)
          howdy (web/run hello :port *port* :path "/howdy")]
      (is (true? (web/stop root)))
      (is (= 404 (body "/")))
      (is (true? (web/stop howdy)))
      (is (refused? *port*))
      (is (nil? (web/stop howdy)))
      (is (nil? (web/stop :port *port*)))))
  (testing "only the requested server"
    (let [second-port (free-port)]
      (web/run hello :port *port*)
      (web/run hello :port second-port)
      (is (true? (web/stop {:port second-port})))
      (is (= "hello" (body "/")))
      (is (refused? second-port))
      (is (true? (web/stop "port" (str *port*))))))
  (testing "run again after stop"
    (let [running (web/run hello :port *port* :worker-threads 1)]
      (web/stop running)
      (let [again (web/run hello :port *port* :worker-threads 2)]
        (is (= "hello" (body "/")))
        (web/stop again)))))

(deftest servers
  (testing "one for each host and port, with methods start, stop and isRunning"
    (let [server (web/server :port *port*)]
      (is (false? (.isRunning server)))
      (let [running (web/run hello :port *port* :auto-start false)]
        (is (every? #(identical? server %) [(web/server {:port *port*}) (web/server running)]))
        (is (false? (.isRunning server)))
        (is (refused? *port*))
        (.start server)
        (.start server)
        (is (true? (.isRunning server)))
        (is (= "hello" (body "/")))
        (.stop server)
        (.stop server)
        (is (false? (.isRunning server)))
        (is (refused? *port*))
        (.start server)
        (is (= "hello" (body "/")))
        (is (true? (web/stop running))))))
  (testing "a running server's own options do not change"
    (let [running (web/run hello :port *port* :worker-threads 1)]
      (is (thrown-with-msg? IllegalStateException #"runs already; its :worker-threads cannot change"
                            (web/run hello :port *port* :path "/x" :worker-threads 2)))
      (is (= "hello" (body "/x")))
      (web/stop running)))
  (testing "a port that is taken leaves nothing behind"
    (with-open [socket (ServerSocket. 0)]
      (let [taken (.getLocalPort socket)]
        (is (thrown? BindException (web/run hello :port taken :host "0.0.0.0")))
        (is (nil? (web/stop :port taken :host "0.0.0.0"))))))
  (testing "nor does it take away what was mounted"
    (let [{:keys [port] :as running} (web/run hello :port 0 :host "127.0.0.1")
          server (web/server running)
          other (fn [_] {:status 200 :body "other"})]
      (.stop server)
      (with-open [_ (ServerSocket. port 1 (InetAddress/getByName "127.0.0.1"))]
        (is (thrown? BindException (web/run other :port port :host "127.0.0.1")))
        (is (thrown? BindException (web/run other :port port :host "127.0.0.1" :path "/other"))))
      (.start server)
      (is (= ["hello" "hello"] (map #(:body (raw/fetch port "GET" %)) ["/" "/other"])))
      (is (true? (web/stop running))))))

(deftest running-for-development
  (testing "run-dmc needs ring-devel, and says so"
    (is (thrown-with-msg? RuntimeException #"Middleware requires ring/ring-devel" (web/run-dmc hello :port *port*))))
  (testing "wraps the var, opens a browser, returns what run does"
    (let [opened (atom [])
          wrapped (atom nil)]
      (require 'immutant.web.middleware 'clojure.java.browse)
      (with-redefs-fn {(resolve 'immutant.web.middleware/wrap-development) (fn [handler] (reset! wrapped handler) handler)
                       (resolve 'clojure.java.browse/browse-url) #(swap! opened conj %)}
        #(let [running (web/run-dmc hello :port *port* :path "/hello")]
           (is (= #'hello @wrapped))
           (is (= [(str "http://localhost:" *port* "/hello")] @opened))
           (is (= "hello" (body "/hello")))
           (is (= (web/run hello :port *port* :path "/hello") running))
           (web/stop running))))))

(deftest requests
  (testing "the request map"
    (let [seen (promise)]
      (serving/with-run [port (fn [request] (deliver seen request) (hello request))]
        (raw/fetch port "POST" "/x?query=help" :headers {"Content-Type" "text/html; charset=utf-8"} :body "body")
        (let [request (raw/await-value seen)]
          (are [key expected] (= expected (get request key))
            :content-type "text/html; charset=utf-8"
            :character-encoding "utf-8"
            :content-length 4
            :remote-addr "127.0.0.1"
            :server-name "localhost"
            ;; What the client asked for, not what listens.
            :server-port 80
            :query-string "query=help"
            :scheme :http
            :request-method :post
            :protocol "HTTP/1.1"
            :uri "/x"
            :context ""
            :path-info "/x"
            :websocket? false)
          (is (= "body" (slurp (:body request))))
          (is (= [:scheme :http] (find request :scheme)))
          (is (integer? (.hashCode request)))
          (is (string? (pr-str request)))
          (is (= 1 (:a (assoc request :a 1))))))))
  (testing "the port is that of Host"
    (serving/with-run [port (fn [request] {:body (str (:server-port request))})]
      (raw/with-connection [connection port]
        (raw/write connection "GET / HTTP/1.1\r\nHost: localhost:81\r\n\r\n")
        (is (= "81" (:body (raw/read-response connection)))))))
  (testing "methods are those of http-kit"
    (serving/with-run [port hello]
      (is (= [200 200 501 501] (for [method ["PATCH" "REPORT" "PURGE" "SEARCH"]] (:status (raw/fetch port method "/")))))))
  (testing "what is not there"
    (let [seen (promise)]
      (serving/with-run [port (fn [request] (deliver seen request) (hello request))]
        (raw/fetch port "GET" "/?" :headers {"X-Forwarded-For" "10.0.0.1"})
        (let [request (raw/await-value seen)]
          (are [key expected] (= expected (get request key))
            :query-string nil
            :content-type nil
            :content-length nil
            :character-encoding nil
            ;; Nobody's word is believed for the client's address.
            :remote-addr "127.0.0.1")
          (is (= "" (slurp (:body request)))))))))
