(ns integration.clients-test
  "Programs other people wrote, talking to examples/tour. Each is skipped when it is not installed."
  (:require [clojure.java.io :as io]
            [clojure.java.shell :refer [sh]]
            [clojure.string :as string]
            [clojure.test :refer [deftest is use-fixtures]]
            [httpkit-rs.skip :refer [skip]]
            [tour.main :as tour]))

(def ^:private ^:dynamic *address* nil)

(use-fixtures :once
  (fn [test]
    (let [stop (tour/start 0)]
      (try
        (binding [*address* (str "http://127.0.0.1:" (:local-port (meta stop)))]
          (test))
        (finally (stop))))))

(defn- installed? [program]
  (some #(.canExecute (io/file % program))
        (string/split (System/getenv "PATH") #":")))

(defmacro ^:private with-program [program & body]
  `(if (installed? ~program)
     (do ~@body)
     (skip (str ~program " is not installed"))))

(defn- run
  "Runs the program and returns what it printed, after testing that it succeeded."
  [& command]
  (let [{:keys [exit out err]} (apply sh command)]
    (is (= 0 exit) (str (string/join " " command) "\n" err))
    out))

(deftest curl
  (with-program "curl"
    (is (= "Hello, Ada!\nHello, Bob!\n"
           (run "curl" "-sS" "--fail" (str *address* "/hello?name=Ada") (str *address* "/hello?name=Bob"))))
    (is (string/includes? (run "curl" "-sS" "--data" "name=Ada&city=London" (str *address* "/form")) "London"))
    (is (string/starts-with? (run "curl" "-sS" "--upload-file" "LICENSE" (str *address* "/upload"))
                             (str (.length (io/file "LICENSE")) " bytes")))
    (is (string/starts-with? (run "curl" "-sS" "--upload-file" "LICENSE" "--header" "Transfer-Encoding: chunked"
                                  (str *address* "/upload"))
                             (str (.length (io/file "LICENSE")) " bytes")))
    (is (string/starts-with? (run "curl" "-sS" "--http1.0" "--include" (str *address* "/hello")) "HTTP/1.1 200 OK\r\n"))
    (is (string/starts-with? (run "curl" "-sS" "--head" (str *address* "/download")) "HTTP/1.1 200 OK\r\n"))))

(deftest wrk
  (with-program "wrk"
    (let [out (run "wrk" "-t1" "-c16" "-d1s" (str *address* "/hello"))]
      (is (not (re-find #"Socket errors|Non-2xx" out)) out))))

(deftest h2load-over-http1
  (with-program "h2load"
    (let [out (run "h2load" "--h1" "-n2000" "-c10" "-m8" (str *address* "/hello"))]
      (is (string/includes? out "2000 succeeded, 0 failed, 0 errored") out))))
