(ns immutant.web.internal.options
  "How the functions of Immutant take options: keywords and values, or one map of them.

  Every wrong option is an IllegalArgumentException that names it and what is accepted."
  (:require [clojure.edn :as edn]
            [clojure.string :as string]
            [org.httpkit.engine.check :as check]))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn options-map
  "Returns the map of trailing arguments: the only one if it is a map, the pairs in it if it is a collection or nil, or the
  pairs they are themselves."
  [arguments]
  (if (next arguments)
    (apply hash-map arguments)
    (let [only (first arguments)]
      (if (map? only) only (apply hash-map only)))))

(defn- keyword-key
  "Returns the keyword a string stands for, without the dashes or colon of a command line before it."
  [key]
  (if (string? key)
    (keyword (string/replace-first key #"^[^a-z]+" ""))
    key))

(defn keyword-map
  "As `options-map`, with keywords for keys that are strings such as \"--port\"."
  [arguments]
  (into {} (for [[key value] (options-map arguments)] [(keyword-key key) value])))

(defn check
  "Returns the options if all are in the set `valid`; `name` is what they were given to."
  [options valid name]
  (doseq [key (keys options)]
    (when-not (contains? valid key)
      (throw (IllegalArgumentException.
              (str key " is not a valid option for " name ", valid options are: " (string/join " " (sort-by str valid)))))))
  options)

(defn refuse-function
  "Throws unless the option is a function, or absent."
  [options option]
  (let [value (get options option)]
    (when-not (or (nil? value) (ifn? value))
      (check/refuse option "a function" value))))

(defn- read-value [value]
  (if (string? value)
    (try (edn/read-string value) (catch RuntimeException _ value))
    value))

(defn integer
  "Returns the option as a long of at least `minimum` and at most `maximum`, or nil if it is absent or nil. It may be a
  string, as on a command line."
  [options option minimum maximum]
  (let [given (get options option)
        value (read-value given)]
    (cond
      (nil? value) nil
      (and (int? value) (<= (long minimum) (long value) (long maximum))) (long value)
      :else (check/refuse option (str "a number from " minimum " to " maximum) given))))

(defn truth
  "Returns the option as true or false, or nil if it is absent or nil. It may be a string, as on a command line."
  [options option]
  (let [given (get options option)
        value (read-value given)]
    (if (or (nil? value) (boolean? value))
      value
      (check/refuse option "true or false" given))))
