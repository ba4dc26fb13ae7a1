(ns upload.main
  "Uploads with progress: the browser says how far it is, the server what arrived.

  Try: `make run EXAMPLE=upload`, open http://localhost:8090/ and drop some files on it. Or:

    curl --upload-file README.md http://localhost:8090/files; sha256sum README.md"
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [examples.command :as command]
            [org.httpkit.server :as server])
  (:import (java.io InputStream OutputStream)
           (java.security DigestInputStream MessageDigest)))

(def ^:private largest-file
  "Bytes. A file is read while it arrives, so no heap need hold one."
  (* 64 1024 1024))

(defn- text [status body]
  {:status status
   :headers {"Content-Type" "text/plain; charset=utf-8"}
   :body body})

(defn- receive
  "Answers with the size and the SHA-256 of the body. An application would keep it: `(io/copy body file)`."
  [{:keys [body]}]
  (let [digest (MessageDigest/getInstance "SHA-256")
        content (DigestInputStream. (or body (InputStream/nullInputStream)) digest)
        size (.transferTo content (OutputStream/nullOutputStream))]
    (text 200 (str size " " (string/join (map #(format "%02x" %) (.digest digest))) "\n"))))

(defn- handler [{:keys [request-method uri] :as request}]
  (case [request-method uri]
    [:get "/"] {:status 200
                :headers {"Content-Type" "text/html; charset=utf-8"}
                :body (slurp (io/resource "upload/index.html"))}
    [:put "/files"] (receive request)
    (text 404 "Not here\n")))

(defn start
  "Starts the application on the port, 0 for any free one, and returns the function that stops it."
  [port]
  (server/run-server handler {:port port :max-body largest-file :stream-body? true}))

(defn -main
  "Serves on PORT, 8090 unless it is set, until the process is asked to end; uploads under way may finish first."
  []
  (command/run "The upload page" start :timeout 10000))
