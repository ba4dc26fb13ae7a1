(ns immutant.web.async-test
  "What the functions of immutant.web.async take, return and throw, whatever the kind of channel."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [immutant.web.async :as async]
            [immutant.web.serving :as serving]
            [org.httpkit.server :as server]))

(defmethod async/initialize-stream :test [request options]
  [request (into {} (filter val) options)])

(defn- body-for [& arguments]
  (:body (apply async/as-channel {:handler-type :test} arguments)))

(deftest options-of-as-channel
  (testing "as one map, as keywords and values, as a collection, with strings for keys"
    (are [arguments] (= [{:handler-type :test} {:on-open identity :timeout 5}] (apply body-for arguments))
      [{:on-open identity :timeout 5}]
      [:on-open identity :timeout 5]
      [[:on-open identity :timeout 5]]
      [{"on-open" identity "--timeout" 5}]
      [{":on-open" identity "+timeout" "5"}]))
  (testing "none, and callbacks that are nil"
    (are [arguments] (= [{:handler-type :test} {}] (apply body-for arguments))
      [] [nil] [{}] [{:on-open nil :on-close nil :on-message nil :on-error nil :timeout nil}]))
  (testing "an unknown one names itself and the valid ones"
    (is (thrown-with-msg? IllegalArgumentException #":on-fire .* as-channel.* :on-close :on-error :on-message :on-open :timeout"
                          (body-for {:on-fire nil}))))
  (testing "a wrong value names its option"
    (is (thrown-with-msg? IllegalArgumentException #":on-open must be a function, got 1" (body-for :on-open 1)))
    (is (thrown-with-msg? IllegalArgumentException #":timeout must be a number" (body-for :timeout "soon"))))
  (testing "metadata"
    (is (= #{:on-open :on-close :on-message :on-error :timeout} (:valid-options (meta #'async/as-channel))))
    (is (= #{:close? :on-success :on-error} (:valid-options (meta #'async/send!))))))

(deftest options-of-send
  (testing "checked before the channel is touched; keys are keywords"
    (are [option] (thrown-with-msg? IllegalArgumentException #"is not a valid option for send!.* :close\? :on-error :on-success"
                                    (async/send! :whatever :whatever option))
      {:bad :option}
      {"close?" true}
      [:bad 1]))
  (testing "every form"
    (doseq [form [[:close? true] [{:close? true}] [[:close? true]]]]
      (serving/with-run [port (fn [request]
                                (async/as-channel request :on-open #(apply async/send! % "x" form)))]
        (is (= ["1" "x"] ((juxt (comp #(get % "content-length") :headers) :body) (raw/fetch port "GET" "/"))))))
    (doseq [form [[] [nil] [{}]]]
      (serving/with-run [port (fn [request]
                                (async/as-channel request :on-open #(do (apply async/send! % "x" form)
                                                                        (async/close %))))]
        (is (= ["chunked" "x"] ((juxt (comp #(get % "transfer-encoding") :headers) :body) (raw/fetch port "GET" "/"))))))))

(deftest requests-of-other-servers
  (testing "a clear exception"
    (are [request] (thrown-with-msg? IllegalArgumentException #"as-channel needs a request that immutant.web/run"
                                     (async/as-channel request))
      {}
      {:websocket? true}
      {:handler-type :servlet})
    (let [log (atom [])]
      (raw/with-server [port (fn [request] (async/as-channel request)) (raw/quiet log)]
        (is (= 500 (:status (raw/fetch port "GET" "/"))))
        (is (re-find #"as-channel needs" (ex-message (second (first @log)))))))))

(deftest channels-not-returned
  (testing "the other response is sent, the channel stays closed"
    (let [channel (promise)
          called (atom [])]
      (serving/with-run [port (fn [request]
                                (deliver channel (:body (async/as-channel request
                                                                          :on-open (fn [_] (swap! called conj :open))
                                                                          :on-close (fn [_ _] (swap! called conj :close)))))
                                {:status 403 :body "no"})]
        (is (= [403 "no"] ((juxt :status :body) (raw/fetch port "GET" "/"))))
        (is (false? (async/open? @channel)))
        (is (nil? (async/send! @channel "x")))
        (is (nil? (async/close @channel)))
        (is (= [] @called)))))
  (testing "a channel is the body of its own response, once"
    (let [log (atom [])
          first-channel (promise)]
      (serving/with-run [port (fn [{:keys [uri] :as request}]
                                (case uri
                                  "/own" (let [response (async/as-channel request :on-open #(async/send! % "x" :close? true))]
                                           (deliver first-channel (:body response))
                                           response)
                                  "/other" {:body @first-channel}))
                         (serving/quiet log)]
        (is (= 200 (:status (raw/fetch port "GET" "/own"))))
        (is (= 500 (:status (raw/fetch port "GET" "/other"))))
        (is (= ["The :body of the response is a channel of another request"] (map (comp ex-message second) @log)))))))

(deftest asynchronous-handlers
  (testing "the map is passed to respond, also from another thread"
    (let [ended (promise)
          app (fn [request respond _]
                (future (respond (assoc (async/as-channel request
                                                          :on-open (fn [ch]
                                                                     (async/send! ch "a")
                                                                     (async/send! ch "b" :close? true))
                                                          :on-close (fn [_ status] (deliver ended status)))
                                        :status 201))))]
      (serving/with-run [port app {:server-options {:ring-async? true}}]
        (is (= [201 "ab"] ((juxt :status :body) (raw/fetch port "GET" "/"))))
        (is (= {:code nil :reason nil} (raw/await-value ended))))))
  (testing "what goes wrong on the way out is raised"
    (let [log (atom [])]
      (serving/with-run [port (fn [_ respond _] (respond nil))
                         (assoc-in (serving/quiet log) [:server-options :ring-async?] true)]
        (is (= 500 (:status (raw/fetch port "GET" "/"))))
        (is (= ["Ring handler returned nil"] (map (comp ex-message second) @log)))))))

(deftest requests-of-channels
  (testing "the very map given to as-channel, without :on-open, too, and in :on-close"
    (let [seen (promise)]
      (serving/with-run [port (fn [request]
                                (async/as-channel (assoc request :params {"a" 1})
                                                  :timeout 1
                                                  :on-close (fn [ch _] (deliver seen (async/originating-request ch)))))]
        (raw/fetch port "GET" "/x")
        (is (= ["/x" {"a" 1}] ((juxt :uri :params) (raw/await-value seen)))))))
  (testing "the text of a channel tells it from others"
    (let [texts (atom #{})]
      (serving/with-run [port (fn [request]
                                (async/as-channel request :on-open #(do (swap! texts conj (str %))
                                                                        (async/close %))))]
        (raw/fetch port "GET" "/")
        (raw/fetch port "GET" "/")
        (is (= 2 (count @texts)))))))

(deftest loaded-on-request-only
  (testing "issue 6 item 6: the server's namespaces load none of these"
    (is (nil? (re-find #"immutant" (string/join (map slurp (filter #(re-find #"\.clj$" (str %))
                                                                   (file-seq (java.io.File. "clj/org"))))))))
    (is (some? server/run-server))))
