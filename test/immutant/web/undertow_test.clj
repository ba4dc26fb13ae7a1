(ns immutant.web.undertow-test
  "The options that tuned Undertow."
  (:require [clojure.test :refer [are deftest is testing]]
            [immutant.web.undertow :as undertow]))

(deftest options
  (testing "keywords for strings, values read"
    (is (= {:host "hostname" :port 42 :io-threads 1 :worker-threads 2 :buffer-size 3 :buffers-per-region 4 :direct-buffers? true}
           (undertow/options {"host" "hostname" ":port" "42" "--io-threads" "1" "+worker-threads" "2" "++buffer-size" "3"
                              "-buffers-per-region" "4" "--direct-buffers?" "true"})
           (undertow/options :host "hostname" :port 42 :io-threads 1 :worker-threads 2 :buffer-size 3 :buffers-per-region 4
                             :direct-buffers? true))))
  (testing "accepted without effect; nil is absent"
    (are [given] (= given (undertow/options given))
      {}
      {:ssl-port nil :ajp-port nil :configuration nil :http2? nil}
      {:keystore "k" :key-password "p" :truststore "t" :trust-password "p" :ssl-context nil}
      {:client-auth :want}
      {:http2? true}))
  (testing "refused"
    (are [pattern given] (thrown-with-msg? IllegalArgumentException pattern (undertow/options given))
      #":this-should-barf is not a valid option for options, valid options are: .*:worker-threads" {:this-should-barf 42}
      #":ssl-port must be absent" {:ssl-port 8443}
      #":ajp-port must be absent" {:ajp-port 8009}
      #":configuration must be absent" {:configuration (Object.)}
      #":client-auth must be :want" {:client-auth :invalid}
      #":io-threads must be a number from 1" {:io-threads 0}
      #":direct-buffers\? must be true or false" {:direct-buffers? "maybe"}))
  (testing "a handler is a handler"
    (is (= identity (undertow/http-handler identity)))))
