(ns immutant.web.middleware-test
  "wrap-websocket, wrap-session and wrap-development."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.websocket :as ws]
            [immutant.web :as web]
            [immutant.web.async :as async]
            [immutant.web.httpkit :as httpkit]
            [immutant.web.middleware :as middleware]
            [immutant.web.serving :as serving]))

(deftest websockets
  (testing "upgrades get the callbacks, as a map or as keywords and values"
    (let [events (ws/events)
          open (fn [_] (ws/note events :open))
          message (fn [ch m] (async/send! ch (string/upper-case m)))
          close (fn [_ {:keys [code]}] (ws/note events code))]
      (doseq [handler [(middleware/wrap-websocket nil {:on-open open :on-message message :on-close close})
                       (middleware/wrap-websocket nil :on-open open :on-message message :on-close close)]
              run [{} {:server-options {:ring-async? true}}]]
        (serving/with-run [port handler run]
          (ws/with-socket [socket port]
            (is (= :open (ws/next-event events)))
            (ws/send-text socket "hello")
            (is (= "HELLO" (ws/read-text socket)))
            (ws/send-close socket 1001 "")
            (is (= 1001 (ws/next-event events))))
          (testing "other requests without a handler are 404"
            (is (= 404 (:status (raw/fetch port "GET" "/")))))))))
  (testing "other requests go to the handler; its response is merged over a 404"
    (are [expected response] (= expected ((middleware/wrap-websocket (constantly response) {}) {}))
      {:status 404 :body "x"} {:body "x"}
      {:status 200} {:status 200}
      {:status 404} nil)
    (let [response (promise)]
      ((middleware/wrap-websocket (fn [_ respond _] (respond {:body "x"})) {}) {} #(deliver response %) identity)
      (is (= {:status 404 :body "x"} @response))))
  (testing "a wrong callback is refused when it is used"
    (is (thrown-with-msg? IllegalArgumentException #":on-fire is not a valid option"
                          ((middleware/wrap-websocket nil {:on-fire identity}) {:websocket? true})))))

(defn- counting
  "A handler that counts the visits of a session; /end ends it, /look leaves it alone, /new has it get a new id."
  [{:keys [uri session]}]
  (let [visits (inc (:visits session 0))]
    (case uri
      "/end" {:status 200 :body "ended" :session nil}
      "/look" {:status 200 :body (pr-str session)}
      "/new" {:status 200 :body "new" :session (with-meta session {:recreate true})}
      {:status 200 :body (str visits) :session {:visits visits}})))

(defn- visit
  "Fetches a path with the cookie in the atom, keeps a new one, and returns the body."
  [port cookie path]
  (let [{:keys [body headers]} (raw/fetch port "GET" path :headers (when @cookie {"Cookie" (str "other=1; " @cookie)}))]
    (when-let [set-cookie (get headers "set-cookie")]
      (reset! cookie (first (string/split set-cookie #";"))))
    body))

(deftest sessions
  (testing "kept by a cookie, whose name is JSESSIONID"
    (serving/with-run [port (middleware/wrap-session counting)]
      (let [cookie (atom nil)]
        (is (= ["nil" nil] [(visit port cookie "/look") @cookie]))
        (is (= "1" (visit port cookie "/")))
        (is (string/starts-with? @cookie "JSESSIONID="))
        (is (= ["2" "3"] [(visit port cookie "/") (visit port cookie "/")]))
        (testing "a client without it has its own"
          (is (= "1" (visit port (atom nil) "/"))))
        (testing "ended by nil; the cookie is not changed by that"
          (let [before @cookie]
            (is (= "ended" (visit port cookie "/end")))
            (is (= before @cookie))
            (is (= "nil" (visit port cookie "/look")))
            (is (= "1" (visit port cookie "/")))
            (testing "the id of a session that was ended is not used again"
              (is (not= before @cookie)))))
        (testing "a new id, old one gone, by :recreate"
          (let [before @cookie]
            (is (= "new" (visit port cookie "/new")))
            (is (not= before @cookie))
            (is (= "nil" (visit port (atom before) "/look")))
            (is (= "2" (visit port cookie "/"))))))
      (testing "an id of the client's own making is not taken over"
        (let [cookie (atom "JSESSIONID=mine")]
          (is (= "1" (visit port cookie "/")))
          (is (not= "JSESSIONID=mine" @cookie))))))
  (testing "any object may be the data"
    (doseq [data ["text" false (java.util.HashMap. {"a" 1}) (atom {} :meta {:recreate true})]]
      (serving/with-run [port (middleware/wrap-session (fn [{:keys [session]}]
                                                         {:status 200 :body (str (identical? data session)) :session data}))]
        (let [cookie (atom nil)]
          (is (= ["false" "true"] [(visit port cookie "/") (visit port cookie "/")]))))))
  (testing "options of the cookie"
    (let [cookie-of (fn [options]
                      (serving/with-run [port (middleware/wrap-session (fn [_] {:status 200 :session {:a 1}}) options)]
                        (-> (raw/fetch port "GET" "/")
                            (get-in [:headers "set-cookie"])
                            (string/split #";")
                            (update 0 #(first (string/split % #"="))))))]
      (are [expected options] (= expected (cookie-of options))
        ["JSESSIONID" "Path=/" "HttpOnly"] {}
        ["foo" "Path=/foo" "Domain=foo.com" "Max-Age=20" "Secure" "HttpOnly"]
        {:cookie-name "foo" :cookie-attrs {:path "/foo" :domain "foo.com" :max-age 20 :secure true :http-only true}}
        ["JSESSIONID" "Path=/"] {:cookie-attrs {:http-only false}})))
  (testing "beside cookies of the response's own"
    (serving/with-run [port (middleware/wrap-session (fn [_] {:status 200 :headers {"Set-Cookie" ["a=1"]} :session {:a 1}}))]
      (is (= ["a" "JSESSIONID"]
             (for [[name value] (:lines (raw/fetch port "GET" "/"))
                   :when (= "Set-Cookie" name)]
               (first (string/split value #"=")))))))
  (testing "asynchronous handlers"
    (serving/with-run [port (middleware/wrap-session (fn [request respond _] (respond (counting request))))
                       {:server-options {:ring-async? true}}]
      (let [cookie (atom nil)]
        (is (= ["1" "2"] [(visit port cookie "/") (visit port cookie "/")])))))
  (testing "wrong options"
    (are [pattern options] (thrown-with-msg? IllegalArgumentException pattern (middleware/wrap-session counting options))
      #":ttl is not a valid option for wrap-session, valid options are: :cookie-attrs :cookie-name :timeout" {:ttl 1}
      #":colour is not a valid option for the :cookie-attrs" {:cookie-attrs {:colour 1}}
      #":timeout must be a number" {:timeout "long"}))
  (testing "a request of another server needs Ring"
    (is (thrown-with-msg? IllegalStateException #"needs ring-core"
                          ((middleware/wrap-session counting) {:uri "/" :request-method :get})))))

(deftest sessions-of-a-server
  (let [session-handler (fn [& options] (apply middleware/wrap-session counting options))
        cookie (atom nil)
        {:keys [port] :as root} (web/run (session-handler) :port 0 :host "127.0.0.1")
        admin (web/run (session-handler {:timeout 10}) (assoc root :path "/admin"))]
    (testing "all that is mounted shares them"
      (is (= ["1" "2" "3" "4" "5"] (for [path ["/" "/" "/admin" "/" "/admin"]] (visit port cookie path)))))
    (testing "a handler that replaces another keeps them"
      (web/run (session-handler) root)
      (is (= "6" (visit port cookie "/"))))
    (testing "so does a server that is stopped for a while"
      (.stop (web/server root))
      (.start (web/server root))
      (is (= "7" (visit port cookie "/"))))
    (testing "another server has its own"
      (serving/with-run [other (session-handler)]
        (is (= "1" (visit other (atom @cookie) "/")))))
    (is (true? (web/stop admin))))
  (testing "one wrapped handler on two servers, of either way to start them"
    (let [handler (middleware/wrap-session counting)
          cookie (atom nil)]
      (raw/with-server [port (httpkit/handler handler) {}]
        (is (= ["1" "2"] [(visit port cookie "/") (visit port cookie "/")]))
        (serving/with-run [other handler]
          (is (= "1" (visit other (atom @cookie) "/"))))
        (is (= "3" (visit port cookie "/")))))))

(deftest sessions-of-websockets
  (testing "the upgrade sees the session, and can change it"
    (let [seen (promise)]
      (serving/with-run [port (middleware/wrap-session
                               (fn [{:keys [session websocket?] :as request}]
                                 (if websocket?
                                   (assoc (async/as-channel request :on-open (fn [_] (deliver seen session)))
                                          :session (assoc session :ham :sandwich))
                                   (counting request))))]
        (let [cookie (atom nil)]
          (visit port cookie "/")
          (ws/with-socket [_ port :headers {"Cookie" @cookie}]
            (is (= {:visits 1} (raw/await-value seen))))
          (is (= "{:visits 1, :ham :sandwich}" (visit port cookie "/look"))))
        (testing "and begin it"
          (raw/with-connection [connection port]
            (is (string/starts-with? (get-in (ws/handshake connection) [:headers "set-cookie"]) "JSESSIONID="))))))))

(deftest development
  (testing "for functions, and with ring-devel"
    (is (thrown-with-msg? RuntimeException #"only applies to regular Clojure functions" (middleware/wrap-development :no)))
    (is (thrown-with-msg? RuntimeException #"requires ring/ring-devel" (middleware/wrap-development counting)))
    (is (thrown-with-msg? RuntimeException #"requires ring/ring-devel" (middleware/wrap-development #'counting)))))
