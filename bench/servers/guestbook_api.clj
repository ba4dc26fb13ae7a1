(ns guestbook-api
  "The application in examples/guestbook, unchanged, with three entries: Compojure, ring-defaults and ring-json.

  What is loaded is its JSON: routing, api-defaults, the entries written by Cheshire."
  (:require [cheshire.core :as json]
            [guestbook.app :as app])
  (:import (java.io ByteArrayInputStream)))

(set! *warn-on-reflection* true)

(def ^:private entries
  [{:name "Ada" :message "It might act upon other things besides number."}
   {:name "Grace" :message "It is easier to ask forgiveness than it is to get permission."}
   {:name "Alan" :message "We can only see a short distance ahead, but we can see plenty there that needs to be done."}])

(defn- sign
  "Writes an entry into the guest book as a client would."
  [entry]
  (app/handler {:request-method :post
                :uri            "/api/entries"
                :headers        {"content-type" "application/json"}
                :content-type   "application/json"
                :scheme         :http
                :body           (ByteArrayInputStream. (.getBytes ^String (json/generate-string entry) "UTF-8"))}))

(run! sign entries)

(def handler app/handler)
