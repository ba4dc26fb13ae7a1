(ns integration.loading-test
  "How applications load this library: reloaded at the REPL, and compiled ahead of time without its sources."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.temporary :as temporary])
  (:import (java.io File)))

(use-fixtures :each temporary/cleanup)

(def ^:private ring-websocket
  "Where the doubles of ring.websocket are."
  (.getAbsolutePath (io/file "test/ring_doubles")))

(deftest listeners-survive-a-reload-of-everything
  (with-open [child (child/start :before [ring-websocket])]
    (let [speaks? '(satisfies? (deref (resolve 'ring.websocket.protocols/Socket))
                               ((resolve 'org.httpkit.engine.ring-websocket/->Socket) nil))]
      (child/evaluate child '(require 'ring.websocket 'org.httpkit.server))
      (is (true? (child/evaluate child speaks?)))
      (child/evaluate child '(require 'ring.websocket 'org.httpkit.server :reload-all))
      (is (true? (child/evaluate child speaks?))))))

(defn- class-path [& entries]
  (string/join File/pathSeparator entries))

(deftest compiled-without-sources
  (let [classes (str (temporary/directory))
        all (string/split (System/getProperty "java.class.path") (re-pattern File/pathSeparator))
        sources? #(.exists (io/file % "org/httpkit/server.clj"))
        java #(apply child/run (child/program "java") "-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED" %&)]
    (is (some sources? all))
    (java "-cp" (apply class-path classes ring-websocket all) "clojure.main" "-e"
          (pr-str `(binding [*compile-path* ~classes] (compile '~'org.httpkit.server))))
    (is (= "404"
           (string/trim
            (java "-cp" (apply class-path classes ring-websocket (remove sources? all)) "clojure.main" "-e"
                  (pr-str '(do (require 'org.httpkit.server)
                               (let [stop (org.httpkit.server/run-server (fn [_]) {:port 0})
                                     url (java.net.URL. (str "http://localhost:" (:local-port (meta stop))))]
                                 (println (.getResponseCode (.openConnection url)))
                                 (stop)
                                 (System/exit 0))))))))))
