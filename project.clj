(defproject httpkit-rs/httpkit-rs "0.1.0"
  :description "http-kit's server, running on a native Rust core."
  :license {:name "Apache-2.0" :url "https://www.apache.org/licenses/LICENSE-2.0"}
  :min-lein-version "2.9.0"

  ;; The oldest Clojure the tests run on. A project that names its own keeps it.
  :dependencies [[org.clojure/clojure "1.10.3"]]

  :source-paths ["clj"]
  :java-source-paths ["java"]
  :test-paths ["test"]
  ;; `make build` stages native/<os>-<arch>/ in the second.
  :resource-paths ["resources" "target/native-resources"]

  :javac-options ["--release" "11" "-Xlint:all,-path" "-encoding" "UTF-8"]
  ;; JDK 24 and newer warn when a library loads native code without this; older ones do not know the flag.
  :jvm-opts ["-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED"]
  :manifest {"Enable-Native-Access" "ALL-UNNAMED"}

  ;; Cargo shares target/: cleaning before a jar must not throw the compiled crates away.
  :clean-targets ["target/classes"]

  :profiles {:dev {:dependencies [[org.clojure/clojure "1.12.5"]]
                   :source-paths ["examples/shared/src" "examples/tour/src" "examples/chat/src" "examples/ticker/src"
                                  "examples/longpoll/src" "examples/upload/src"]
                   :resource-paths ["examples/tour/resources" "examples/chat/resources" "examples/ticker/resources"
                                    "examples/longpoll/resources" "examples/upload/resources"]}
             :clojure-1.10 {:dependencies [[org.clojure/clojure "1.10.3"]]}})
