(ns org.httpkit.engine.close-reason
  "What a Close frame can say.")

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private most-bytes
  "RFC 6455 section 5.5: 125 for a control frame, less the code."
  123)

(defn shortened
  "Returns as much of the reason from its beginning as fits a Close frame, in whole characters; nil is empty. Jetty cuts it too: what
  is said of a failure may be long, and the failure is to end the socket."
  ^String [^String reason]
  (let [reason (or reason "")]
    (loop [end (min (.length reason) (long most-bytes))]
      (let [part (subs reason 0 end)]
        (if (or (> (alength (.getBytes part "UTF-8")) (long most-bytes))
                (and (pos? end) (Character/isHighSurrogate (.charAt reason (dec end)))))
          (recur (dec end))
          part)))))
