(ns httpkit-rs.hidden
  "Fields that only a test looks at, and methods that only it calls. It puts a part there that fails, or calls in an unlikely order, for
  failures that cannot be had otherwise when they are wanted."
  (:import (java.lang.reflect Field Method)))

(set! *warn-on-reflection* true)

(defn- classes [object]
  (take-while some? (iterate #(.getSuperclass ^Class %) (class object))))

(defn- field ^Field [object name]
  (let [declared (fn [^Class of] (first (filter #(= name (.getName ^Field %)) (.getDeclaredFields of))))]
    (doto ^Field (some declared (classes object))
      (.setAccessible true))))

(defn value
  "Returns what is found by the names, each a field of the object before."
  [object & names]
  (reduce (fn [object name] (.get (field object name) object)) object names))

(defn replace!
  "Puts the value into the field of the object."
  [object name value]
  (.set (field object name) object value))

(defn call
  "Calls the object's method of that name that takes so many arguments."
  [object name & arguments]
  (let [methods (mapcat #(.getDeclaredMethods ^Class %) (classes object))
        wanted? #(= [name (count arguments)] [(.getName ^Method %) (.getParameterCount ^Method %)])]
    (.invoke (doto ^Method (first (filter wanted? methods)) (.setAccessible true))
             object (to-array arguments))))
