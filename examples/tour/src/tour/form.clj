(ns tour.form
  "Form fields as browsers send them: application/x-www-form-urlencoded, in a query string or a body."
  (:require [clojure.string :as string])
  (:import (java.net URLDecoder)))

(defn- decode [^String text]
  (try
    (URLDecoder/decode text "UTF-8")
    (catch IllegalArgumentException _ text))) ; a stray % stands for itself

(defn parse
  "Returns the fields as a map of strings; of a repeated one the last value counts. Nil is no fields."
  [text]
  (into {}
        (for [pair (string/split (or text "") #"&")
              :when (seq pair)
              :let [[field value] (string/split pair #"=" 2)]]
          [(decode field) (decode (or value ""))])))
