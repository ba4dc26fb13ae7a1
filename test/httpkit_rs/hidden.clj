(ns httpkit-rs.hidden
  "Fields that only a test looks at. It puts a part there that fails, for failures that cannot be had otherwise when they are wanted."
  (:import (java.lang.reflect Field)))

(set! *warn-on-reflection* true)

(defn- field ^Field [object name]
  (let [declared (fn [^Class of] (first (filter #(= name (.getName ^Field %)) (.getDeclaredFields of))))]
    (doto ^Field (some declared (take-while some? (iterate #(.getSuperclass ^Class %) (class object))))
      (.setAccessible true))))

(defn value
  "Returns what is found by the names, each a field of the object before."
  [object & names]
  (reduce (fn [object name] (.get (field object name) object)) object names))

(defn replace!
  "Puts the value into the field of the object."
  [object name value]
  (.set (field object name) object value))
