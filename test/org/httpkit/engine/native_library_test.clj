(ns org.httpkit.engine.native-library-test
  "Loading the native library: where it is unpacked, what is trusted, and what the errors say.

  Each test loads it through a class loader of its own, as a second application in one JVM would. What depends on
  the environment or on a mount is in native-library-process-test."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.temporary :as temporary])
  (:import (java.io File)
           (java.lang.reflect InvocationTargetException)
           (java.net URL URLClassLoader)
           (java.nio.file Files LinkOption)
           (java.nio.file.attribute PosixFilePermissions)
           (java.util Arrays)))

(use-fixtures :each temporary/cleanup)

(def ^:private library-property "org.httpkit-rs.native-library")
(def ^:private directory-property "org.httpkit-rs.native-directory")

(defn- with-properties*
  "Calls `f` with the system properties set, nil meaning absent, and restores them."
  [properties f]
  (let [set-property! (fn [[k v]] (if v (System/setProperty k v) (System/clearProperty k)))
        before (into {} (for [k (keys properties)] [k (System/getProperty k)]))]
    (run! set-property! properties)
    (try (f) (finally (run! set-property! before)))))

(defmacro ^:private with-properties [properties & body]
  `(with-properties* ~properties (fn [] ~@body)))

(defn- class-path []
  (string/split (System/getProperty "java.class.path") (re-pattern File/pathSeparator)))

(defn- staged-library
  "Returns the staged library file for the platform the tests run on."
  ^File []
  (first (filter #(re-find #"^(lib)?httpkit_rs\." (.getName ^File %))
                 (file-seq (io/file "target/native-resources/native")))))

(defn- same-content? [^File one ^File other]
  (Arrays/equals (Files/readAllBytes (.toPath one)) (Files/readAllBytes (.toPath other))))

(defn- fresh-loader
  "Returns a class loader with its own copy of this project's classes and of Clojure."
  ([] (fresh-loader (class-path)))
  ([entries]
   (URLClassLoader. (into-array URL (map #(.toURL (.toURI (io/file %))) entries))
                    (ClassLoader/getPlatformClassLoader))))

(defn- load-library!
  "Loads the native library for `loader`; throws what NativeLibrary.load throws."
  [^ClassLoader loader]
  (let [load (.getMethod (.loadClass loader "org.httpkit.engine.NativeLibrary") "load" (into-array Class []))]
    (try
      (.invoke load nil (object-array 0))
      (catch InvocationTargetException e
        (throw (.getCause e))))))

(defn- failure
  "Returns the text of the UnsatisfiedLinkError that loading causes, or nil when it succeeds."
  [loader]
  (try
    (load-library! loader)
    nil
    (catch UnsatisfiedLinkError e
      (.getMessage e))))

(defn- file-names [^File directory]
  (sort (.list directory)))

(defn- permissions [^File file]
  (PosixFilePermissions/toString (Files/getPosixFilePermissions (.toPath file) (make-array LinkOption 0))))

(deftest unpacks-once-into-an-owner-only-directory
  (let [directory (io/file (temporary/directory) "made")]
    (with-properties {directory-property (str directory) library-property nil}
      (load-library! (fresh-loader))
      (let [[name :as names] (file-names directory)
            file (io/file directory (str name))
            written (.lastModified file)]
        (is (= 1 (count names)))
        (is (re-matches #"(lib)?httpkit_rs-\d+\.\d+\.\d+-[0-9a-f]{8}\.(so|dylib|dll)" name))
        (is (= "rwx------" (permissions directory)))
        (is (= "rw-------" (permissions file)))
        (is (same-content? file (staged-library)))
        (testing "a second class loader of this JVM finds it there, loads a copy of its own and leaves nothing behind"
          (.setLastModified file (- written 60000))
          (load-library! (fresh-loader))
          (is (= names (file-names directory)))
          (is (= (- written 60000) (.lastModified file)) "the file was not written again"))
        (testing "loading again through one class loader is no work"
          (let [loader (fresh-loader)]
            (load-library! loader)
            (is (nil? (failure loader)))))))))

(deftest replaces-a-file-with-other-content
  (let [directory (temporary/directory)]
    (with-properties {directory-property (str directory) library-property nil}
      (load-library! (fresh-loader))
      (let [file (io/file directory (str (first (file-names directory))))]
        ;; A new file, as an interrupted copy or another user would leave: the loaded one must not change.
        (.delete file)
        (spit file "half a library")
        (is (nil? (failure (fresh-loader))))
        (is (same-content? file (staged-library)))))))

(deftest many-class-loaders-at-once
  (let [directory (temporary/directory)]
    (with-properties {directory-property (str directory) library-property nil}
      (let [results (mapv #(future (failure %)) (repeatedly 4 fresh-loader))]
        (is (= [nil nil nil nil] (mapv deref results)))
        (is (= 1 (count (file-names directory))))))))

(defn- evaluate
  "Evaluates the program with the Clojure of the loader; returns what it returns."
  [^ClassLoader loader program]
  (let [thread (Thread/currentThread)
        before (.getContextClassLoader thread)]
    (.setContextClassLoader thread loader)
    (try
      (let [class-of #(Class/forName % true loader)
            load-string (-> (.getMethod ^Class (class-of "clojure.java.api.Clojure") "var"
                                        (into-array Class [Object Object]))
                            (.invoke nil (object-array ["clojure.core" "load-string"])))]
        (-> (.getMethod ^Class (class-of "clojure.lang.IFn") "invoke" (into-array Class [Object]))
            (.invoke load-string (object-array [program]))))
      (finally (.setContextClassLoader thread before)))))

(deftest two-class-loaders-serve-side-by-side
  (let [start (fn [text]
                ;; A java.util.List of an Integer and a Callable: what both Clojures can read.
                (evaluate (fresh-loader)
                          (str "(require 'org.httpkit.server)"
                               "(let [stop (org.httpkit.server/run-server (fn [_] {:body " (pr-str text) "}) {:port 0})]"
                               "  [(:local-port (meta stop)) stop])")))
        fetch #(slurp (str "http://127.0.0.1:" % "/"))
        [port-one stop-one] (start "one")
        [port-two stop-two] (start "two")]
    (is (= ["one" "two"] [(fetch port-one) (fetch port-two)]))
    (.call ^Callable stop-one)
    (is (= "two" (fetch port-two)) "stopping one leaves the other alone")
    (.call ^Callable stop-two)))

(deftest refuses-a-directory-others-may-write-to
  (let [directory (temporary/directory)]
    (Files/setPosixFilePermissions (.toPath directory) (PosixFilePermissions/fromString "rwxrwxrwx"))
    (with-properties {directory-property (str directory) library-property nil}
      (let [message (failure (fresh-loader))]
        (is (string/includes? (str message) (str directory ": others may write to it (rwxrwxrwx)")))
        (is (string/includes? (str message) (str "-D" directory-property "=DIRECTORY")))
        (is (empty? (file-names directory)))))))

(deftest names-a-directory-that-cannot-be-made
  (let [directory (io/file (temporary/file "not a directory") "below")]
    (with-properties {directory-property (str directory) library-property nil}
      (is (string/includes? (str (failure (fresh-loader))) (str "\n  " directory ": "))))))

(deftest missing-resource
  (let [without-library (remove #(string/includes? % "native-resources") (class-path))]
    (with-properties {library-property nil}
      (let [message (str (failure (fresh-loader without-library)))]
        (is (re-find #"no native library for (linux|macos|windows)-(x86_64|aarch64)" message))
        (is (re-find #"the resource native/\S+/(lib)?httpkit_rs\.\w+ is not on the class path" message))
        (is (string/includes? message "`make build`"))
        (is (string/includes? message library-property))))))

(deftest a-library-that-the-system-lacks
  (let [library (slurp (staged-library) :encoding "ISO-8859-1")
        directory (temporary/directory)
        resource (io/file directory (string/replace (str (staged-library)) "target/native-resources/" ""))]
    (when (string/includes? library "libgcc_s.so.1")
      (io/make-parents resource)
      (spit resource (string/replace library "libgcc_s.so.1" "libgcc_s.so.0") :encoding "ISO-8859-1")
      (with-properties {directory-property (str (io/file directory "made")) library-property nil}
        (let [message (str (failure (fresh-loader (cons directory (class-path)))))]
          (is (string/includes? message "\nInstall libgcc_s.so.0, "))
          (testing "is in no other directory's power"
            (is (not (string/includes? message "noexec")))))))))

(deftest versions-agree
  (let [[_ _ project-version] (read-string (slurp "project.clj"))
        field (doto (.getDeclaredField (Class/forName "org.httpkit.engine.NativeLibrary") "VERSION")
                (.setAccessible true))]
    (is (= project-version (.get field nil)) "the library's own is compared by NativeLibrary")))

(deftest unsupported-platform
  (with-properties {"os.name" "Plan 9" "os.arch" "MIPS/64" library-property nil}
    (is (string/includes? (str (failure (fresh-loader))) "native/plan_9-mips_64/libhttpkit_rs.so"))))

(deftest override-property
  (testing "names the library to load, and nothing is unpacked"
    (let [directory (temporary/directory)
          library (io/file (temporary/directory) "mine.so")]
      (io/copy (staged-library) library)
      (with-properties {library-property (str library) directory-property (str directory)}
        (is (nil? (failure (fresh-loader))))
        (is (empty? (file-names directory))))))
  (testing "does not fall back when the file is missing"
    (with-properties {library-property "/nonexistent/library.so"}
      (is (string/includes? (str (failure (fresh-loader)))
                            (str library-property " names /nonexistent/library.so, which is not a file")))))
  (testing "refuses the library of something else"
    (let [library (first (filter #(.exists (io/file %)) ["/lib/x86_64-linux-gnu/libm.so.6" "/lib64/libm.so.6"]))]
      (when library
        (with-properties {library-property library}
          (is (re-find #"names \S+/libm\.so\.6, which is not the library of httpkit-rs \d+\.\d+\.\d+"
                       (str (failure (fresh-loader)))))))))
  (testing "does not fall back when the file is no library"
    (let [garbage (temporary/file "no library")]
      (with-properties {library-property (str garbage)}
        (is (string/includes? (str (failure (fresh-loader)))
                              (str library-property " names " garbage ", which this JVM cannot load: ")))))))
