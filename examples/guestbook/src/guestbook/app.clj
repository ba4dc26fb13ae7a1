(ns guestbook.app
  "A guest book: an ordinary Compojure application with Ring's default middleware, as it is written for http-kit.

  Nothing here knows which server runs it. It needs Compojure, ring-defaults and ring-json."
  (:require [clojure.string :as string]
            [compojure.core :refer [GET POST PUT context defroutes routes wrap-routes]]
            [compojure.route :as route]
            [ring.middleware.anti-forgery :refer [*anti-forgery-token*]]
            [ring.middleware.defaults :refer [api-defaults site-defaults wrap-defaults]]
            [ring.middleware.json :refer [wrap-json-body wrap-json-response]]
            [ring.util.response :as response])
  (:import (java.io File)))

(def ^:private entries (atom []))

(defn- escape [text]
  (string/escape (str text) {\& "&amp;" \< "&lt;" \> "&gt;"}))

(defn- entry-list []
  (string/join (for [{:keys [name message]} @entries]
                 (str "<li>" (escape name) ": " (escape message) "</li>"))))

(defn- book [{:keys [session flash]}]
  (str "<!DOCTYPE html><title>Guest book</title>"
       "<p>Visits: " (:visits session 0) (when flash (str " - " (escape flash))) "</p>"
       "<ul>" (entry-list) "</ul>"
       "<form method='post' action='/entries'>"
       "<input type='hidden' name='__anti-forgery-token' value='" *anti-forgery-token* "'>"
       "<input name='name'><input name='message'><button>Sign</button></form>"))

(defn- visit [{:keys [session] :as request}]
  (let [session (update session :visits (fnil inc 0))]
    (-> (response/response (book (assoc request :session session)))
        (response/content-type "text/html")
        (assoc :session session))))

(defn- sign [{:keys [name message]}]
  (swap! entries conj {:name name :message message})
  (-> (response/redirect "/" :see-other)
      (assoc :flash (str "Thank you, " name))))

(defn- picture [{:keys [filename content-type tempfile]}]
  (response/response (str filename " " content-type " " (.length ^File tempfile))))

(defroutes site
  (GET "/" request (visit request))
  (POST "/entries" [name message] (sign {:name name :message message}))
  (POST "/picture" [picture-file] (picture picture-file))
  (GET "/visitor/:id{[0-9]+}" [id] (str "visitor " id)))

(defroutes api
  (context "/api" []
    (GET "/entries" [] (response/response {:entries @entries}))
    (POST "/entries" {:keys [body]}
      (swap! entries conj (select-keys body [:name :message]))
      (-> (response/response {:count (count @entries)}) (response/status 201)))
    (PUT "/echo" {:keys [body]} (response/response body))))

(def handler
  "The whole application, to be given to run-server."
  (routes
   (-> api
       (wrap-routes wrap-json-body {:keywords? true})
       (wrap-routes wrap-json-response)
       (wrap-routes wrap-defaults api-defaults))
   (-> (routes site (route/not-found "No such page"))
       (wrap-defaults site-defaults))))
