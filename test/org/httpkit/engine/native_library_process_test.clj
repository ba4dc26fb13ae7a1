(ns org.httpkit.engine.native-library-process-test
  "Loading the native library where the environment decides: each case is a JVM of its own."
  (:require [clojure.java.io :as io]
            [clojure.java.shell :as shell]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.child :as child]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary])
  (:import (java.nio.file Files LinkOption)))

(use-fixtures :each temporary/cleanup)

(def ^:private program "(org.httpkit.engine.NativeLibrary/load) (println :loaded)")

(defn- java-command
  "Returns the command line of a JVM that loads the library, with the system properties."
  [properties]
  (concat [(child/program "java") "-XX:TieredStopAtLevel=1"]
          (for [[k v] properties] (str "-D" k "=" v))
          ["-cp" (System/getProperty "java.class.path") "clojure.main" "-e" program]))

(defn- run
  "Runs the command with `environment` added; returns clojure.java.shell's map."
  [environment command]
  (apply shell/sh (concat command [:env (merge {} (System/getenv) environment)])))

(defn- loaded? [{:keys [exit out]}]
  (and (zero? exit) (string/includes? out ":loaded")))

(defn- can-mount? []
  (zero? (:exit (try
                  (shell/sh "unshare" "--mount" "mount" "-t" "tmpfs" "tmpfs" (str (temporary/directory)))
                  (catch java.io.IOException _ {:exit 1})))))

(defn- with-mount
  "Returns the command run where `directory` is a fresh tmpfs with the mount options; it is gone with the process."
  [directory options command]
  (concat ["unshare" "--mount" "sh" "-c" "mount -t tmpfs -o \"$1\" tmpfs \"$0\" && shift && exec \"$@\""
           (str directory) options]
          command))

(deftest several-jvms-share-the-cache-directory
  (let [cache (temporary/directory)
        results (mapv (fn [_] (future (run {"XDG_CACHE_HOME" (str cache)} (java-command {})))) (range 3))]
    (is (every? loaded? (map deref results)))
    (is (= 1 (count (.list (io/file cache "httpkit-rs")))))))

(deftest falls-back-to-the-temporary-directory
  (let [file (temporary/file "not a directory")
        temporary (temporary/directory)]
    (is (loaded? (run {"XDG_CACHE_HOME" (str file)} (java-command {"java.io.tmpdir" temporary "user.name" "a/b"}))))
    (is (= 1 (count (.list (io/file temporary "httpkit-rs-a_b")))))))

(deftest a-directory-the-locale-cannot-write
  (testing "leads to the temporary one, as with a user M\u00fcller under cron"
    (is (loaded? (run {"XDG_CACHE_HOME" "/tmp/M\u00fcller" "LC_ALL" "POSIX"}
                   (java-command {"java.io.tmpdir" (temporary/directory) "sun.jnu.encoding" "ANSI_X3.4-1968"}))))))

(deftest users-without-a-name
  (testing "as in some containers are kept apart by their numbers"
    (let [temporary (temporary/directory)]
      (is (loaded? (run {"XDG_CACHE_HOME" "relative"} (java-command {"java.io.tmpdir" temporary "user.name" "?" "user.home" "?"}))))
      (is (= 1 (count (.list (io/file temporary (str "httpkit-rs-" (Files/getAttribute (.toPath (io/file "/proc/self")) "unix:uid"
                                                                                       (into-array LinkOption [])))))))))))

(deftest a-directory-that-forbids-execution
  (if-not (can-mount?)
    (skip "mounting a file system needs root")
    (let [mounted (temporary/directory)]
      (testing "as the cache directory it leads to the temporary one"
        (is (loaded? (run {"XDG_CACHE_HOME" (str mounted)}
                       (with-mount mounted "noexec,mode=700" (java-command {"java.io.tmpdir" (temporary/directory)}))))))
      (testing "as the configured one it is named with the reason and the way out"
        (let [{:keys [exit err]} (run {} (with-mount mounted "noexec,mode=700"
                                           (java-command {"org.httpkit-rs.native-directory" mounted})))]
          (is (= 1 exit))
          (is (string/includes? err "could be unpacked and loaded nowhere"))
          (is (re-find (re-pattern (str mounted ": .*failed to map segment")) err))
          (testing "once, and not as a copy that is gone"
            (is (not (re-find #"\.private" err))))
          (is (string/includes? err "-Dorg.httpkit-rs.native-directory=DIRECTORY")))))))

(deftest a-jvm-that-refuses-native-code
  (if (< (.feature (Runtime/version)) 24)
    (skip "only JDK 24 and newer can be told to")
    (let [[java & arguments] (java-command {})
          {:keys [exit err]} (run {} (list* java "--illegal-native-access=deny" arguments))]
      (is (= 1 exit))
      (is (string/includes? err "start it with --enable-native-access=ALL-UNNAMED"))
      (testing "is named as the one reason"
        (is (not (string/includes? err "could be unpacked"))))
      (testing "to a module is told to grant it to that module"
        (let [classes (io/file (io/resource "org/httpkit/engine/NativeLibrary.class") ".." ".." ".." "..")
              jar (io/file (temporary/directory) "httpkit-rs.jar")]
          (shell/sh (child/program "jar") "--create" "--file" (str jar) "-C" (.getCanonicalPath classes) "org/httpkit/engine")
          (is (string/includes? (:err (run {} (list* java "--illegal-native-access=deny" "--enable-native-access=ALL-UNNAMED"
                                                     "--module-path" (str jar) "--add-modules" "httpkit.rs" arguments)))
                                "start it with --enable-native-access=httpkit.rs")))))))

(deftest directories-that-cannot-be
  (doseq [[directory words] {"/proc/none" "there is no such directory, and it cannot be made" "/dev/null" "it is not a directory"}]
    (let [{:keys [exit err]} (run {} (java-command {"org.httpkit-rs.native-directory" directory}))]
      (is (= 1 exit))
      (is (string/includes? err (str "\n  " directory ": " words))))))

(deftest a-chroot-whose-root-is-no-mount-point
  (if-not (can-mount?)
    (skip "mounting needs root")
    (let [made (io/file (temporary/directory) "made")]
      (testing "is a mount table without the directory's file system"
        (is (loaded? (run {} (list* "unshare" "--mount" "sh" "-c" "mount --bind /dev/null /proc/$$/mounts && exec \"$@\"" "sh"
                                    (java-command {"org.httpkit-rs.native-directory" made})))))
        (is (= 1 (count (.list made))))))))

(deftest a-jvm-with-little-direct-memory
  (let [cache (temporary/directory)
        [java & arguments] (java-command {})]
    (doseq [work ["unpacks" "compares"]]
      (testing work
        (is (loaded? (run {"XDG_CACHE_HOME" (str cache)} (list* java "-XX:MaxDirectMemorySize=256k" arguments))))))))

(deftest a-read-only-directory
  (if-not (can-mount?)
    (skip "mounting a file system needs root")
    (let [mounted (temporary/directory)]
      (testing "as the cache directory it leads to the temporary one"
        (is (loaded? (run {"XDG_CACHE_HOME" (str mounted)}
                       (with-mount mounted "ro,mode=700" (java-command {"java.io.tmpdir" (temporary/directory)}))))))
      (testing "when all are, the one error names each"
        (let [{:keys [exit err]} (run {"XDG_CACHE_HOME" (str mounted)}
                                   (with-mount mounted "ro,mode=700" (java-command {"java.io.tmpdir" mounted})))]
          (is (= 1 exit))
          (is (re-find (re-pattern (str "\n  " mounted "/httpkit-rs: .*Read-only file system")) err))
          (is (re-find (re-pattern (str "\n  " mounted "/httpkit-rs-[^:]*: .*Read-only file system")) err)))))))
