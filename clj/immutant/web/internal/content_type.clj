(ns immutant.web.internal.content-type
  "The charset a response's headers name for its texts."
  (:require [clojure.string :as string])
  (:import (java.nio.charset Charset)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- content-type [headers]
  (or (get headers "Content-Type")
      (some (fn [[name value]]
              (when (and (string? name) (.equalsIgnoreCase "content-type" name))
                value))
            headers)))

(defn charset
  "Returns the Charset the Content-Type among the headers names, or nil. Throws if nobody knows it."
  ^Charset [headers]
  (when-let [type (content-type headers)]
    (when-let [[_ quoted plain] (re-find #"(?i);\s*charset\s*=\s*(?:\"([^\"]+)\"|([^\s;\"]+))" (str type))]
      (Charset/forName (string/trim (or quoted plain))))))
