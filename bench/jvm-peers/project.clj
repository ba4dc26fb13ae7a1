;; Servers of Java that the benchmark compares with. A project of its own: the library must not know them.
(defproject httpkit-rs/jvm-peers "0"
  :description "Jetty, Undertow and Netty with the handlers of bench/servers."
  :min-lein-version "2.9.0"
  :dependencies [[org.eclipse.jetty/jetty-server "12.1.14"]
                 [io.undertow/undertow-core "2.3.27.Final"]
                 [io.netty/netty-codec-http "4.2.20.Final"]
                 ;; Jetty logs through SLF4J: without this it would warn about a missing logger.
                 [org.slf4j/slf4j-nop "2.0.17"]]
  :java-source-paths ["src"]
  :source-paths []
  ;; The JSON body lies beside the handlers in Clojure.
  :resource-paths ["../servers"]
  :javac-options ["--release" "17" "-Xlint:all,-path,-processing,-classfile" "-encoding" "UTF-8"])
