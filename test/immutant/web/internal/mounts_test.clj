(ns immutant.web.internal.mounts-test
  "Which handler a request is for."
  (:require [clojure.test :refer [are deftest is testing]]
            [immutant.web.internal.mounts :as mounts]
            [immutant.web.serving :as serving]))

(defn- mounted [& options]
  (reduce (fn [mounts options]
            (mounts/add mounts (mounts/keys-of options) options))
          {} options))

(deftest hosts
  (testing "names are the same in either case, wherever the server runs"
    (serving/in-turkish
     (is (some? (mounts/find-mount (mounted {:virtual-host ["I.example"] :path "/"}) {:server-name "i.example" :uri "/"}))))))

(deftest paths
  (let [mounts (mounted {:path "/"} {:path "/a"} {:path "/a b/\u00e9"} {:path "/100%"} {:path "/a/b"})]
    (testing "the decoded path is matched; its length is that in the one that was sent"
      (are [uri path rest] (= [path rest] (let [[found _ length] (mounts/find-mount mounts {:uri uri})]
                                            [found (subs uri length)]))
        "/" "" "/"
        "*" "" "*"
        "/a" "/a" ""
        "/a/b%20/c" "/a" "/b%20/c"
        "/a%20b/%C3%A9/%2B+" "/a b/\u00e9" "/%2B+"
        "/a%20b/%c3%a9" "/a b/\u00e9" ""
        "/%61//" "/a" "//"
        "/a%20b" "" "/a%20b"
        "/a+b/%C3%A9" "" "/a+b/%C3%A9"
        "/100%25/x" "/100%" "/x"))
    (testing "an encoded slash ends no segment"
      (are [uri path] (= path (first (mounts/find-mount mounts {:uri uri})))
        "/a%2Fb" ""
        "/a%2fb" ""
        "/a/b%2Fc" "/a"
        "/a%252Fb" ""
        ;; An overlong form of it, which is not UTF-8.
        "/a%C0%AFb" ""))
    (testing "what is not well-formed is taken as it is"
      (are [uri path] (= path (first (mounts/find-mount mounts {:uri uri})))
        "/a/%zz" "/a"
        "/a/%" "/a"
        "/%61/%zz" ""
        "/a/%FF" "/a"))))
