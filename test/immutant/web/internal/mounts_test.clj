(ns immutant.web.internal.mounts-test
  "Which handler a request is for. Sections are the contract's."
  (:require [clojure.test :refer [deftest is testing]]
            [immutant.web.internal.mounts :as mounts]
            [immutant.web.serving :as serving]))

(defn- mounted [& options]
  (reduce (fn [mounts options]
            (mounts/add mounts (mounts/keys-of options) options))
          {} options))

(deftest hosts
  (testing "section 13: names are the same in either case, wherever the server runs"
    (serving/in-turkish
     (is (some? (mounts/find-mount (mounted {:virtual-host ["I.example"] :path "/"}) {:server-name "i.example" :uri "/"}))))))
