(ns load.child
  "A JVM in a process of its own: started, asked for its memory, and ended."
  (:require [clojure.java.io :as io]
            [httpkit-rs.child :as child])
  (:import (java.io BufferedReader Closeable)
           (java.lang ProcessBuilder$Redirect)
           (java.nio.file Files Path)
           (java.util List)
           (java.util.concurrent TimeUnit)))

(set! *warn-on-reflection* true)

(defrecord Child [^Process process port]
  Closeable
  (close [_]
    ;; Its standard input ends: it leaves by itself.
    (.close (.getOutputStream process))
    (when-not (.waitFor process 10 TimeUnit/SECONDS)
      (.destroyForcibly process))))

(defn- java-options
  "A heap of fixed size, touched at the start: what the process grows by afterwards is native memory. A server that keeps
  what it cannot send in its heap runs out of it."
  [heap-mebibytes]
  [(str "-Xms" heap-mebibytes "m") (str "-Xmx" heap-mebibytes "m") "-XX:+AlwaysPreTouch" "-XX:+ExitOnOutOfMemoryError"
   "-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED"])

(defn start
  "Starts `main`'s -main with the arguments, on this JVM's kind and class path; returns a Closeable with its `:port`."
  ^Closeable [main heap-mebibytes & arguments]
  (let [command (concat [(child/program "java")] (java-options heap-mebibytes)
                        ["-cp" (System/getProperty "java.class.path") "clojure.main" "-m" (name main)] arguments)
        process (.start (doto (ProcessBuilder. ^List (vec command))
                          (.redirectError ProcessBuilder$Redirect/INHERIT)))
        line (.readLine ^BufferedReader (io/reader (.getInputStream process)))]
    (->Child process (Long/parseLong (second (re-matches #"port=(\d+)" (str line)))))))

(defn resident-bytes
  "Returns the memory that the process occupies (Linux). Throws when it has ended, as it does when its heap is full."
  ^long [{:keys [^Process process]}]
  (when-not (.isAlive process)
    (throw (ex-info "The server's process has ended" {:exit (.exitValue process)})))
  (let [status (Files/readString (Path/of "/proc" (into-array [(str (.pid process)) "status"])))]
    (* 1024 (Long/parseLong (second (re-find #"VmRSS:\s+(\d+) kB" status))))))
