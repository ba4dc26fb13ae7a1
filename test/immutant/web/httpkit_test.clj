(ns immutant.web.httpkit-test
  "Handlers written for Immutant on servers that org.httpkit.server starts."
  (:require [clojure.test :refer [deftest is]]
            [httpkit-rs.raw :as raw]
            [immutant.web.httpkit :as httpkit]))

(deftest handlers
  (raw/with-server [port (httpkit/handler (fn [request] {:body (str (:context request) (:path-info request))})) {}]
    (is (= "/x" (:body (raw/fetch port "GET" "/x")))))
  (raw/with-server [port (httpkit/handler (fn [_ respond _] (respond {:body "async"}))) {:ring-async? true}]
    (is (= "async" (:body (raw/fetch port "GET" "/x")))))
  (is (thrown-with-msg? IllegalArgumentException #":port is not a valid option for handler" (httpkit/handler identity :port 1)))
  (is (thrown-with-msg? IllegalArgumentException #"The handler must be a function" (httpkit/handler (Object.)))))
