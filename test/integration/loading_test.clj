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

(defn- class-path [& entries]
  (string/join File/pathSeparator entries))

(def ^:private own-class-path (string/split (System/getProperty "java.class.path") (re-pattern File/pathSeparator)))

(defn- evaluate
  "Returns what a JVM of its own with that class path prints when it evaluates the form. What is not compiled ahead of time can be
  reloaded."
  [class-path form]
  (string/trim (child/run (child/program "java") "-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED"
                          "-cp" class-path "clojure.main" "-e" (pr-str form))))

(deftest listeners-survive-a-reload-of-everything
  (is (= "true true"
         (evaluate (apply class-path ring-websocket own-class-path)
                   '(do (require 'ring.websocket 'org.httpkit.server)
                        (defn speaks? []
                          (satisfies? @(resolve 'ring.websocket.protocols/Socket)
                                      ((resolve 'org.httpkit.engine.ring-websocket/->Socket) nil)))
                        (let [before (speaks?)]
                          (require 'ring.websocket 'org.httpkit.server :reload-all)
                          (println before (speaks?))))))))

(deftest compiled-without-sources
  (let [classes (str (temporary/directory))
        sources? #(.exists (io/file % "org/httpkit/server.clj"))]
    (is (some sources? own-class-path))
    (evaluate (apply class-path classes ring-websocket own-class-path)
              `(binding [*compile-path* ~classes] (compile '~'org.httpkit.server)))
    (is (= "404"
           (evaluate (apply class-path classes ring-websocket (remove sources? own-class-path))
                     '(do (require 'org.httpkit.server)
                          (let [stop (org.httpkit.server/run-server (fn [_]) {:port 0})
                                url (java.net.URL. (str "http://localhost:" (:local-port (meta stop))))]
                            (println (.getResponseCode (.openConnection url)))
                            (stop)
                            (System/exit 0))))))))
