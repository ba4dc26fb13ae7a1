(ns integration.httpkit-client-test
  "http-kit's own client, from its own jar behind this library on one class path, talking to this server.

  HTTPKIT_CLASSPATH names the jar, as for `make bench`; without it the test is skipped."
  (:require [clojure.java.shell :refer [sh]]
            [clojure.string :as string]
            [clojure.test :refer [deftest is]]
            [httpkit-rs.child :as child]
            [httpkit-rs.skip :refer [skip]])
  (:import (java.io File)))

(def ^:private program
  "Prints what the client got, and whose server it talked to."
  (pr-str
   '(do
      (require '[org.httpkit.client :as client] '[org.httpkit.server :as server])
      (let [stop (server/run-server (fn [request]
                                      {:headers {"Content-Type" "application/octet-stream"}
                                       :body (str (:uri request) (some-> (:body request) slurp))})
                                    {:port 0})
            url (str "http://127.0.0.1:" (:local-port (meta stop)) "/path")
            {:keys [status body error]} @(client/post url {:body "posted"})]
        (prn [status (some-> body slurp) (class body) error
              (some? (:error @(client/get "http://127.0.0.1:1/")))
              (some? (Class/forName "org.httpkit.engine.Native"))])
        (stop)
        (shutdown-agents)
        (System/exit 0)))))

(deftest the-client-of-http-kits-jar
  (if-let [http-kit (System/getenv "HTTPKIT_CLASSPATH")]
    (let [class-path (str (System/getProperty "java.class.path") File/pathSeparator http-kit)
          {:keys [exit out err]} (sh (child/program "java") "-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED"
                                     "-cp" class-path "clojure.main" "-e" program)]
      (is (= 0 exit) err)
      (is (= "[200 \"/pathposted\" org.httpkit.BytesInputStream nil true true]" (string/trim out))))
    (skip "HTTPKIT_CLASSPATH is not set")))
