(ns jvm.served
  "The program of a child JVM (`httpkit-rs.child`): servers, and handlers that ask much of a JVM."
  (:require [clojure.java.io :as io]
            [clojure.java.shell :as shell]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.io File InputStream)
           (java.lang.management GarbageCollectorMXBean ManagementFactory MemoryPoolMXBean)
           (java.lang.ref WeakReference)
           (java.net URL URLClassLoader)
           (java.nio.file Files)
           (java.nio.file.attribute FileAttribute)
           (java.time Duration)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)
           (jdk.jfr Recording)
           (jdk.jfr.consumer RecordingFile)
           (org.httpkit.server HttpServer)))

(set! *warn-on-reflection* true)

(defn overflow [n]
  (inc (long (overflow (inc (long n))))))

(defn threads
  "Returns the names of the live threads, sorted."
  []
  (sort (map #(.getName ^Thread %) (keys (Thread/getAllStackTraces)))))

(defn descriptors
  "Returns a map from each open file descriptor of this process to what it is."
  []
  (into {}
        (for [^File file (.listFiles (io/file "/proc/self/fd"))
              :let [target (try (str (Files/readSymbolicLink (.toPath file))) (catch java.io.IOException _ nil))]
              ;; The listing's own descriptor is gone by now.
              :when target]
          [(Long/parseLong (.getName file)) target])))

(defn status
  "Returns the value of a line of /proc/self/status."
  [field]
  (second (re-find (re-pattern (str field ":\\s+(\\S+)")) (Files/readString (.toPath (io/file "/proc/self/status"))))))

(defn process-state
  "Returns what a server must give back: threads by name, the number of descriptors, and resident memory."
  []
  {:threads (threads)
   :descriptors (count (descriptors))
   :kibibytes (Long/parseLong (status "VmRSS"))})

(defn descriptor-flags
  "Returns the flags of an open file descriptor, 0 if it is no longer open."
  [descriptor]
  (let [file (io/file "/proc/self/fdinfo" (str descriptor))]
    (if (.exists file)
      (Long/parseLong (second (re-find #"flags:\s+(\d+)" (Files/readString (.toPath file)))) 8)
      0)))

(defn body-bytes ^bytes [{:keys [^InputStream body]}]
  (if body (.readAllBytes body) (byte-array 0)))

(defn handler
  [{:keys [uri] :as request}]
  (case uri
    "/"        {:body "fine"}
    "/echo"    {:body (body-bytes request)}
    "/large"   {:body (byte-array 100000)}
    "/stream"  {:body (repeat 20 (apply str (repeat 10000 "x")))}
    "/wait"    (do (.poll (LinkedBlockingQueue.) 1 TimeUnit/MILLISECONDS) {:body "waited"})
    "/recurse" {:body (str (overflow 0))}
    "/fds"     {:body (:out (shell/sh "ls" "-l" "/proc/self/fd"))}
    "/exit"    (System/exit 7)
    "/socket"  (server/as-channel request {:on-receive server/send!})
    {:status 404}))

(defn- descend [^long n]
  (if (zero? n)
    0
    (inc (long (descend (dec n))))))

(defn descending-handler
  "Recurses as deep as the query string says."
  [{:keys [query-string]}]
  {:body (str (descend (Long/parseLong query-string)))})

(def servers "Those started by `start`, newest first." (atom ()))

(defn start
  "Starts a server and returns its port."
  ([] (start {}))
  ([options] (start handler options))
  ([handler options]
   (let [server (server/run-server handler (merge {:port 0 :ip "127.0.0.1" :legacy-return-value? false} options))]
     (swap! servers conj server)
     (server/server-port server))))

(defn stop
  "Stops the newest server."
  ([] (stop {}))
  ([options]
   (let [[server] @servers]
     (swap! servers rest)
     @(server/server-stop! server options))))

(defn stop-at-once
  "Stops a server, in the room that the only element of the array takes. Makes nothing itself."
  [^HttpServer server ^objects room]
  (aset room 0 nil)
  (.stop server 0))

(defn cycles
  "Starts a server, sends it a request and stops it, so many times."
  [times]
  (dotimes [_ times]
    (let [port (start)]
      (raw/fetch port "GET" "/")
      (stop))))

(defn with-directory
  "Puts a directory on the class path of this thread, and so of the servers it starts."
  [directory]
  (let [thread (Thread/currentThread)]
    (.setContextClassLoader thread (URLClassLoader. (into-array URL [(.toURL (.toURI (io/file directory)))])
                                                    (.getContextClassLoader thread)))
    nil))

(defn loading-handler
  "Loads what is only to be found with the context class loader."
  [{:keys [uri query-string]}]
  {:body (case uri
           "/require"  (do (require (symbol query-string))
                           (str @(resolve (symbol query-string "answer"))))
           "/resource" (slurp (io/resource "late.txt"))
           "/for-name" (do (Class/forName "org.httpkit.server.AsyncChannel" true (.getContextClassLoader (Thread/currentThread)))
                           (.getName (io/file (.toURI (io/resource "late.txt"))))))})

(def ^:private reloaded "Weak references to the class loaders of `reloading-handler`'s types." (atom []))

(defn reloading-handler
  "Defines a type of always the same name anew."
  [_]
  (let [^Class type (binding [*ns* (the-ns 'jvm.served)]
                      (eval '(do (deftype Reloaded [x]) Reloaded)))]
    (swap! reloaded conj (WeakReference. (.getClassLoader type)))
    {:body "reloaded"}))

(defn reload-state
  "Returns how many class loaders of all but the newest type are left after a collection, and the size of their memory."
  []
  (dotimes [_ 3] (System/gc))
  (let [^MemoryPoolMXBean metaspace (first (filter #(= "Metaspace" (.getName ^MemoryPoolMXBean %))
                                                   (ManagementFactory/getMemoryPoolMXBeans)))]
    {:loaders (count (filter #(.get ^WeakReference %) @reloaded))
     :kibibytes (quot (.getUsed (.getUsage metaspace)) 1024)}))

(def ^:private recording (atom nil))

(defn record-pinning
  "Records each time a virtual thread keeps its carrier while it waits."
  []
  (let [^Recording started (Recording.)]
    (.withThreshold (.enable started "jdk.VirtualThreadPinned") Duration/ZERO)
    (.start started)
    (reset! recording started)
    nil))

(defn pinnings
  "Returns the stack traces of what was recorded, as texts."
  []
  (let [file (Files/createTempFile "pinned" ".jfr" (make-array FileAttribute 0))
        ^Recording started @recording]
    (.stop started)
    (.dump started file)
    (let [events (RecordingFile/readAllEvents file)]
      (Files/delete file)
      (mapv str events))))

(defn collect-all-the-time
  "Has a daemon thread collect garbage without a pause."
  []
  (doto (Thread. ^Runnable (fn [] (System/gc) (recur)))
    (.setDaemon true)
    (.start))
  nil)

(defn collections
  "Returns how often garbage was collected."
  []
  (reduce + (map #(.getCollectionCount ^GarbageCollectorMXBean %) (ManagementFactory/getGarbageCollectorMXBeans))))

(defn collectors
  "Returns the names of this JVM's garbage collectors."
  []
  (mapv #(.getName ^GarbageCollectorMXBean %) (ManagementFactory/getGarbageCollectorMXBeans)))

(defn at-exit
  "Has `f` called when the JVM ends."
  [f]
  (.addShutdownHook (Runtime/getRuntime) (Thread. ^Runnable f)))

(defn -main
  "Evaluates the forms of the standard input, one a line, and prints `value: ...` or `thrown: ...`. Returns at its end."
  []
  (binding [*ns* (the-ns 'jvm.served)]
    (loop []
      (when-let [line (read-line)]
        (println (try
                   (str "value: " (pr-str (eval (read-string line))))
                   (catch Throwable e (str "thrown: " (pr-str (str e))))))
        (flush)
        (recur)))))
