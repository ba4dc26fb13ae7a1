;; Loads every Clojure file below the directories given as arguments with reflection and boxed-math warnings on, and
;; exits with 1 when one of those files causes a warning.
(require '[clojure.java.io :as io]
         '[clojure.string :as string])

(defn- clojure-files [directory]
  (filter #(string/ends-with? (.getName ^java.io.File %) ".clj") (file-seq (io/file directory))))

(defn- relative-path [directory file]
  (str (.relativize (.toPath (io/file directory)) (.toPath (io/file file)))))

(let [files (for [directory *command-line-args*, file (clojure-files directory)]
              {:file file :path (relative-path directory file)})
      output (java.io.StringWriter.)]
  (binding [*warn-on-reflection* true
            *unchecked-math* :warn-on-boxed
            *err* output]
    (doseq [{:keys [path]} files]
      (load (str "/" (string/replace path #"\.clj$" "")))))
  ;; Libraries loaded on the way warn as well; only the project's own files count.
  (let [warnings (for [line (distinct (string/split-lines (str output)))
                       :when (re-find #"^(Reflection|Boxed math) warning, " line)
                       :when (some #(string/includes? line (:path %)) files)]
                   line)]
    (run! println warnings)
    (println (count files) "Clojure files," (count warnings) "warnings")
    (shutdown-agents)
    (System/exit (if (seq warnings) 1 0))))
