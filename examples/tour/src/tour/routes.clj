(ns tour.routes
  "The stops of the tour: each handler shows one thing a server has to do."
  (:require [clojure.java.io :as io]
            [clojure.pprint :as pprint]
            [clojure.string :as string]
            [tour.form :as form]
            [tour.page :as page])
  (:import (java.io File InputStream)
           (java.security MessageDigest)))

(defn- text [body]
  {:status 200
   :headers {"Content-Type" "text/plain; charset=utf-8"}
   :body body})

(defn- html [body]
  {:status 200
   :headers {"Content-Type" "text/html; charset=utf-8"}
   :body body})

(defn- number-parameter
  "Returns the query parameter as a number between 0 and `limit`, or `default` when it is absent or no number."
  [request parameter default limit]
  (let [value (get (form/parse (:query-string request)) parameter)]
    (if (and value (re-matches #"\d{1,12}" value))
      (min (Long/parseLong value) (long limit))
      default)))

(defn- index [request]
  (html (page/index (str "http://" (get (:headers request) "host" "localhost")))))

(defn- hello [request]
  (text (str "Hello, " (get (form/parse (:query-string request)) "name" "stranger") "!\n")))

(defn- submit [request]
  (html (page/fields (form/parse (some-> ^InputStream (:body request) .readAllBytes (String. "UTF-8"))))))

(defn- upload
  "Answers with the size and the SHA-256 of the body, to compare with the file's own."
  [request]
  (let [bytes (if-let [^InputStream body (:body request)] (.readAllBytes body) (byte-array 0))
        digest (.digest (MessageDigest/getInstance "SHA-256") bytes)]
    (text (str (count bytes) " bytes, sha256 " (string/join (map #(format "%02x" %) digest)) "\n"))))

(def ^:private squares-file
  "A file of about 3 MB, written when it is first asked for."
  (delay
    (let [file (doto (File/createTempFile "tour" ".csv") .deleteOnExit)]
      (with-open [out (io/writer file)]
        (binding [*out* out]
          (println "number,square")
          (dotimes [n 200000]
            (println (str n "," (* n n))))))
      file)))

(defn- download [_request]
  {:status 200
   :headers {"Content-Type" "text/csv"
             "Content-Disposition" "attachment; filename=\"squares.csv\""}
   :body @squares-file})

(defn- slow
  "Keeps its thread busy for some seconds; other requests are answered meanwhile."
  [request]
  (let [seconds (long (number-parameter request "seconds" 2 30))]
    (Thread/sleep (* 1000 seconds))
    (text (str "That took " seconds " seconds.\n"))))

(defn- lines
  "Answers with a lazy sequence, realized as the client takes it: any number of lines, never all in memory."
  [request]
  (let [n (long (number-parameter request "count" 100000 1000000000))]
    (text (for [number (range 1 (inc n))]
            (str "line " number "\n")))))

(defn- zeros
  "Answers with an InputStream of any length, which is never in memory as a whole."
  [request]
  (let [remaining (atom (long (number-parameter request "count" 1000000 10000000000)))]
    {:status 200
     :headers {"Content-Type" "application/octet-stream"}
     :body (proxy [InputStream] []
             (read
               ([] (if (neg? (long (swap! remaining dec))) -1 0))
               ([buffer] (.read ^InputStream this buffer 0 (alength ^bytes buffer)))
               ([buffer offset length]
                (let [piece (min (long length) (long @remaining))]
                  (if (pos? piece)
                    (do (java.util.Arrays/fill ^bytes buffer (int offset) (int (+ (long offset) piece)) (byte 0))
                        (swap! remaining - piece)
                        piece)
                    -1)))))}))

(defn- show-request [request]
  (text (with-out-str (pprint/pprint (into (sorted-map) (dissoc request :async-channel))))))

(defn- fail [_request]
  (throw (IllegalStateException. "this handler always fails")))

(def ^:private routes
  {[:get "/"] index
   [:get "/hello"] hello
   [:post "/form"] submit
   [:put "/upload"] upload
   [:get "/download"] download
   [:get "/slow"] slow
   [:get "/lines"] lines
   [:get "/zeros"] zeros
   [:get "/request"] show-request
   [:post "/request"] show-request
   [:get "/fail"] fail})

(defn- not-found [request]
  (assoc (text (str "Nothing at " (:uri request) ". The list is at /\n")) :status 404))

(defn handler
  "Answers every request of the tour. HEAD is answered as GET; the server leaves the body out."
  [{:keys [request-method uri] :as request}]
  (let [method (if (= :head request-method) :get request-method)]
    ((get routes [method uri] not-found) request)))
