(ns tour.page
  "The HTML of the tour."
  (:require [clojure.java.io :as io]
            [clojure.string :as string]))

(defn- escape [text]
  (string/escape (str text) {\& "&amp;" \< "&lt;" \> "&gt;" \" "&quot;" \' "&#39;"}))

(defn- render
  "Fills the {{name}} places of the page below tour/ with the values, which must be HTML already."
  [file values]
  (reduce-kv (fn [page place value] (string/replace page (str "{{" (name place) "}}") value))
             (slurp (io/resource (str "tour/" file)))
             values))

(defn index
  "Returns the first page, whose examples address the server as `origin`."
  [origin]
  (render "index.html" {:origin (escape origin)}))

(defn fields
  "Returns the page that shows what a form sent."
  [fields]
  (render "fields.html"
          {:rows (string/join (for [[field value] (sort fields)]
                                (str "<tr><th>" (escape field) "</th><td>" (escape value) "</td></tr>")))}))
