(ns integration.compojure-test
  "An unmodified Compojure, ring-defaults and ring-json application, examples/guestbook, over real HTTP.

  The libraries are Debian's; without them the test is skipped. They are loaded by a class loader of their own, so
  the application also shows that handlers run with the context class loader of the thread that called run-server."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing]]
            [httpkit-rs.skip :refer [skip]]
            [integration.http :as http]
            [org.httpkit.server :as server])
  (:import (clojure.lang Compiler DynamicClassLoader)))

(def ^:private jars
  (for [library ["clj-time" "clout" "commons-codec" "commons-fileupload" "commons-io" "compojure" "cheshire"
                 "crypto-equality" "crypto-random" "instaparse" "jackson-core" "jackson-dataformat-cbor"
                 "jackson-dataformat-smile" "joda-time" "medley" "ring-anti-forgery" "ring-codec" "ring-core"
                 "ring-defaults" "ring-headers" "ring-json" "ring-ssl" "servlet-api" "tigris" "tools.macro"]]
    (io/file "/usr/share/java" (str library ".jar"))))

(def ^:private class-path
  (concat jars [(io/file "examples/guestbook/src/") (io/file "examples/guestbook/resources/")]))

(defn- with-application
  "Starts the guest book and calls `f` with its address."
  [f]
  (let [thread (Thread/currentThread)
        before (.getContextClassLoader thread)
        loader (DynamicClassLoader. before)]
    (run! #(.addURL loader (.toURL (.toURI ^java.io.File %))) class-path)
    (.setContextClassLoader thread loader)
    (try
      (let [handler (with-bindings {Compiler/LOADER loader}
                      (requiring-resolve 'guestbook.app/handler))
            stop (server/run-server handler {:port 0 :ip "127.0.0.1"})]
        (try
          (f (str "http://127.0.0.1:" (:local-port (meta stop))))
          (finally (stop))))
      (finally (.setContextClassLoader thread before)))))

(defn- token [page]
  (second (re-find #"name='__anti-forgery-token' value='([^']+)'" page)))

(defn- urlencoded [fields]
  (string/join "&" (for [[field value] fields]
                     (str field "=" (java.net.URLEncoder/encode ^String value "UTF-8")))))

(defn- multipart [boundary token]
  (str "--" boundary "\r\nContent-Disposition: form-data; name=\"__anti-forgery-token\"\r\n\r\n" token
       "\r\n--" boundary "\r\nContent-Disposition: form-data; name=\"picture-file\"; filename=\"a.png\"\r\n"
       "Content-Type: image/png\r\n\r\n" (apply str (repeat 5000 "x"))
       "\r\n--" boundary "--\r\n"))

(defn- site [address]
  (let [client (http/client)
        fetch (fn [path & {:as request}] (http/send-request client (assoc request :url (str address path))))
        form {"Content-Type" "application/x-www-form-urlencoded"}]
    (testing "sessions live in a cookie"
      (is (string/includes? (:body (fetch "/")) "Visits: 1"))
      (let [{:keys [status headers body]} (fetch "/")]
        (is (= 200 status))
        (is (= "text/html; charset=utf-8" (headers "content-type")))
        (is (= "SAMEORIGIN" (headers "x-frame-options")))
        (is (string/includes? body "Visits: 2"))))
    (testing "a form with its token is taken, redirected and thanked for"
      (let [fields {"__anti-forgery-token" (token (:body (fetch "/"))) "name" "Ada <1815>" "message" "größer & mehr"}
            {:keys [status headers]} (fetch "/entries" :method "POST" :headers form :body (urlencoded fields))]
        (is (= 303 status))
        (is (= (str address "/") (headers "location")))
        (let [page (:body (fetch "/"))]
          (is (string/includes? page "Thank you, Ada &lt;1815&gt;"))
          (is (string/includes? page "<li>Ada &lt;1815&gt;: größer &amp; mehr</li>")))))
    (testing "a form without its token is refused"
      (is (= 403 (:status (fetch "/entries" :method "POST" :headers form :body "name=Eve&message=hi")))))
    (testing "a multipart upload"
      (is (= "a.png image/png 5000"
             (:body (fetch "/picture" :method "POST"
                           :headers {"Content-Type" "multipart/form-data; boundary=xyz"}
                           :body (multipart "xyz" (token (:body (fetch "/")))))))))
    (testing "a route parameter, a static resource, its revalidation and HEAD"
      (is (= "visitor 42" (:body (fetch "/visitor/42"))))
      (let [{:keys [status headers body]} (fetch "/style.css")]
        (is (= [200 "text/css; charset=utf-8" (slurp "examples/guestbook/resources/public/style.css")]
               [status (headers "content-type") body]))
        (is (= 304 (:status (fetch "/style.css" :headers {"If-Modified-Since" (headers "last-modified")}))))
        (is (= [200 ""] ((juxt :status :body) (fetch "/style.css" :method "HEAD"))))))
    (testing "not found"
      (is (= [404 "No such page"] ((juxt :status :body) (fetch "/visitor/none")))))))

(defn- api [address]
  (let [client (http/client)
        json {"Content-Type" "application/json; charset=utf-8"}
        fetch (fn [path & {:as request}] (http/send-request client (assoc request :url (str address path))))]
    (testing "JSON in and out"
      (let [{:keys [status headers body]} (fetch "/api/echo" :method "PUT" :headers json
                                                 :body "{\"name\":\"größer\",\"list\":[1,2.5,null]}")]
        (is (= 200 status))
        (is (= "application/json; charset=utf-8" (headers "content-type")))
        (is (= "{\"name\":\"größer\",\"list\":[1,2.5,null]}" body)))
      (is (= 201 (:status (fetch "/api/entries" :method "POST" :headers json :body "{\"name\":\"Bob\"}"))))
      (is (string/includes? (:body (fetch "/api/entries")) "{\"name\":\"Bob\"}")))
    (testing "malformed JSON"
      (is (= 400 (:status (fetch "/api/echo" :method "PUT" :headers json :body "{")))))))

(deftest compojure-application
  (if-let [missing (seq (remove #(.exists ^java.io.File %) jars))]
    (skip (str "these are missing: " (string/join ", " missing)))
    (with-application (fn [address] (site address) (api address)))))
