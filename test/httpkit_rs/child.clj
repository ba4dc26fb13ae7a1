(ns httpkit-rs.child
  "A JVM in a process of its own, for what a test must not do to the JVM it runs in.

  It reads forms from its standard input, evaluates each in the namespace `jvm.served` and prints the value. Nothing waits for
  it longer than `raw/patience-millis`, and closing it ends it. Used within `temporary/cleanup`: its crash reports and compiled
  classes lie in such directories."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.temporary :as temporary])
  (:import (java.io BufferedReader Closeable File Writer)
           (java.lang ProcessBuilder$Redirect)
           (java.nio.file Files)
           (java.nio.file.attribute FileAttribute)
           (java.util List)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)))

(set! *warn-on-reflection* true)

(def full?
  "Whether the system property httpkit-rs.full-counts asks for the large counts of docs/RELIABILITY.md, which take minutes."
  (Boolean/getBoolean "httpkit-rs.full-counts"))

(defn counts
  "Returns `usual`, or `full` when full counts are asked for."
  [usual full]
  (if full? full usual))

(def java-version (.feature (Runtime/version)))

(defn program
  "Returns the path of a program of the JDK that this JVM is of, such as \"java\"."
  [name]
  (str (io/file (System/getProperty "java.home") "bin" name)))

(def ^:private library-property "org.httpkit-rs.native-library")

(def ^:private complaint
  "What HotSpot prints when it crashes, when native code breaks the rules of JNI, and about native access."
  #"fatal error has been detected|WARNING in native|WARNING: JNI|Warning: Calling other JNI|FATAL|WARNING: A restricted method")

(defn- options
  "A small JVM that starts fast, with the native library this one was told to load."
  []
  (concat ["-XX:+IgnoreUnrecognizedVMOptions" "--enable-native-access=ALL-UNNAMED" "-XX:TieredStopAtLevel=1" "-Xmx256m"]
          (when-let [library (System/getProperty library-property)]
            [(str "-D" library-property "=" library)])))

(defn- class-path [entries]
  (string/join File/pathSeparator (concat (map str entries) [(System/getProperty "java.class.path")])))

(defn- compile-served
  "Compiles `jvm.served` and all it needs, which a JVM then loads in half the time. Returns the directory."
  ^File []
  (let [directory (.toFile (Files/createTempDirectory "httpkit-rs-child" (make-array FileAttribute 0)))
        form (pr-str `(binding [*compile-path* ~(str directory)] (compile '~'jvm.served)))
        process (.start (doto (ProcessBuilder. ^List (vec (concat [(program "java")] (options)
                                                                  ["-cp" (class-path [directory]) "clojure.main" "-e" form])))
                          (.redirectError ProcessBuilder$Redirect/INHERIT)))]
    (.addShutdownHook (Runtime/getRuntime) (Thread. ^Runnable #(run! io/delete-file (reverse (file-seq directory)))))
    (when-not (.waitFor process 60 TimeUnit/SECONDS)
      (.destroyForcibly process))
    directory))

(def ^:private compiled (delay (compile-served)))

(defrecord Child [^Process process ^LinkedBlockingQueue lines output ^File directory]
  Closeable
  (close [_]
    (.destroyForcibly process)
    (.waitFor process raw/patience-millis TimeUnit/MILLISECONDS)))

(defn- read-output [^Process process ^LinkedBlockingQueue lines output]
  (doto (Thread. ^Runnable
                 (fn []
                   (with-open [^BufferedReader reader (io/reader (.getInputStream process))]
                     (try
                       (doseq [line (line-seq reader)]
                         (swap! output conj line)
                         (.put lines line))
                       ;; It was closed.
                       (catch java.io.IOException _ nil)))
                   (.put lines ::end))
                 "child-output")
    (.setDaemon true)
    (.start)))

(defn start
  "Starts a JVM; returns a Closeable. `:options` are JVM options, `:before` directories in front of the class path, `:through` a
  command that becomes the JVM."
  ^Closeable [& {jvm-options :options :keys [before through]}]
  (let [directory (temporary/directory)
        command (concat through [(program "java")] (options) jvm-options
                        ["-cp" (class-path (concat before [@compiled])) "clojure.main" "-m" "jvm.served"])
        builder (doto (ProcessBuilder. ^List (vec command))
                  (.directory directory)
                  (.redirectError (io/file directory "stderr")))]
    ;; Native code symbolizes a backtrace for longer than a call may take.
    (.put (.environment builder) "RUST_BACKTRACE" "0")
    (let [process (.start builder)
          lines (LinkedBlockingQueue.)
          output (atom [])]
      (read-output process lines output)
      (->Child process lines output directory))))

(defn output
  "Returns what the JVM has printed so far, standard output and then error, as lines."
  [{:keys [output directory]}]
  (concat @output (string/split-lines (slurp (io/file directory "stderr")))))

(defn await-line
  "Waits for a line that matches the pattern and returns the match. Earlier lines are passed over."
  [{:keys [^LinkedBlockingQueue lines] :as child} pattern & {:keys [millis] :or {millis raw/patience-millis}}]
  (let [deadline (+ (System/nanoTime) (* 1000000 (long millis)))]
    (loop []
      (let [line (.poll lines (- deadline (System/nanoTime)) TimeUnit/NANOSECONDS)]
        (if (or (nil? line) (= ::end line))
          (throw (ex-info (str "No line like " pattern (if line " before the end" " in time")) {:output (output child)}))
          (or (re-find pattern line) (recur)))))))

(defn tell
  "Gives the JVM a form to evaluate, and does not wait for it."
  [{:keys [^Process process]} form]
  (let [^Writer writer (io/writer (.getOutputStream process))]
    (.write writer (str (pr-str form) "\n"))
    (.flush writer)))

(defn evaluate
  "Has the JVM evaluate a form and returns the value, which it prints and this JVM reads. `:millis` is its deadline."
  [child form & options]
  (tell child form)
  (let [[_ kind text] (apply await-line child #"^(value|thrown): (.*)" options)]
    (if (= "value" kind)
      (read-string text)
      (throw (ex-info (str "In the child: " text) {:form form})))))

(defn end-input
  "Ends the JVM's standard input: its main returns."
  [{:keys [^Process process]}]
  (.close (.getOutputStream process)))

(defn pid ^long [{:keys [^Process process]}]
  (.pid process))

(defn await-exit
  "Waits for the JVM to end; returns its exit code, or `:timeout`."
  [{:keys [^Process process]} & {:keys [millis] :or {millis raw/patience-millis}}]
  (if (.waitFor process millis TimeUnit/MILLISECONDS)
    (.exitValue process)
    :timeout))

(defn complaints
  "Returns the lines of the JVM's that tell of a crash or of a broken rule of JNI, and the names of crash reports."
  [{:keys [^File directory] :as child}]
  (concat (filter #(re-find complaint %) (output child))
          (filter #(string/starts-with? % "hs_err") (.list directory))))

(defn run
  "Runs a command to its end and returns its standard output. Throws when it fails."
  [& command]
  (let [process (.start (doto (ProcessBuilder. ^List (mapv str command)) (.redirectErrorStream true)))
        text (slurp (.getInputStream process))]
    (when-not (zero? (.waitFor process))
      (throw (ex-info (str "Failed: " (string/join " " command)) {:output text})))
    text))

(defn global-references
  "Returns the number of JNI global references of the JVM."
  ^long [child]
  (let [text (run (program "jcmd") (pid child) "Thread.print")]
    (Long/parseLong (second (re-find #"JNI global refs: (\d+)" text)))))
