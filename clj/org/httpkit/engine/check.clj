(ns org.httpkit.engine.check
  "Checks the values of options. Each exception names the option, what it accepts and what it got.")

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn message
  "Returns the text for a value that the option does not take; `accepted` says what it does."
  ^String [option accepted value]
  (str option " must be " accepted ", got " (pr-str value)
       (when (some? value) (str " (" (.getName (class value)) ")"))))

(defn refuse
  "Throws an IllegalArgumentException for the value."
  [option accepted value]
  (throw (IllegalArgumentException. (message option accepted value))))

(defn wrong-class
  "Throws a ClassCastException for the value, as http-kit does where it does not look at the class."
  [option accepted value]
  (throw (ClassCastException. (message option accepted value))))

(defn whole
  "Returns the value as a long between the limits; a fraction is cut off. Throws what http-kit throws: for nil a
  NullPointerException, for what is no number a ClassCastException, for one that is too large an ArithmeticException."
  ^long [option value [minimum maximum]]
  (let [minimum (long minimum)
        maximum (long maximum)
        accepted (str "a number from " minimum " to " maximum)]
    (cond
      (nil? value) (throw (NullPointerException. (message option accepted value)))
      (not (number? value)) (wrong-class option accepted value)
      (> (double value) maximum) (throw (ArithmeticException. (str "integer overflow: " (message option accepted value))))
      (>= (double value) minimum) (long value)
      :else (refuse option accepted value))))

(defn switch
  "Returns the value, true or false, as a boolean; nil means false."
  [option value]
  (if (or (nil? value) (boolean? value))
    (boolean value)
    (wrong-class option "true, false or nil" value)))

(defn function
  "Returns the value, a function or what can be called as one; nil and false mean that there is none."
  [option value]
  (if (or (not value) (ifn? value))
    value
    (refuse option "a function" value)))
