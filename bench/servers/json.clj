(ns json
  "Answers the 800 bytes of answer.json with six headers, as a small web service would."
  (:require [clojure.java.io :as io]))

(set! *warn-on-reflection* true)

;; A String: the server has to encode it for each answer.
(def ^:private response
  {:status  200
   :headers {"Content-Type"                "application/json; charset=utf-8"
             "Cache-Control"               "no-store"
             "Vary"                        "Accept-Encoding, Origin"
             "Access-Control-Allow-Origin" "*"
             "X-Content-Type-Options"      "nosniff"
             "X-Request-Id"                "6f1c2f8e-0b54-4c1b-9a57-9c7f4f0a2d11"}
   :body    (slurp (io/resource "answer.json") :encoding "UTF-8")})

(defn handler [_request] response)
