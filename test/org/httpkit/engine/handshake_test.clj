(ns org.httpkit.engine.handshake-test
  "Which requests are a valid opening handshake (RFC 6455 section 4.2.1)."
  (:require [clojure.test :refer [deftest is]]
            [org.httpkit.engine.handshake :as handshake]))

(def ^:private rfc
  "The client of section 1.3."
  {:request-method :get
   :protocol       "HTTP/1.1"
   :headers        {"upgrade"               "websocket"
                    "connection"            "Upgrade"
                    "sec-websocket-version" "13"
                    "sec-websocket-key"     "dGhlIHNhbXBsZSBub25jZQ=="}})

(deftest valid-handshakes
  (is (= "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" (handshake/check rfc)))
  (doseq [headers [{"upgrade" "h2c, \tWebSocket"}
                   {"connection" "keep-alive,UPGRADE "}
                   {"sec-websocket-key" "AAAAAAAAAAAAAAAAAAAAAA=="}
                   {"sec-websocket-key" "/////////////////////w=="}]]
    (is (string? (handshake/check (update rfc :headers merge headers))) headers)))

(deftest refused-handshakes
  (is (nil? (handshake/check (assoc rfc :request-method :post))))
  (is (nil? (handshake/check (assoc rfc :protocol "HTTP/1.0"))))
  (doseq [headers [{"upgrade" "websockets"}
                   {"upgrade" "web, socket"}
                   {"upgrade" nil}
                   {"connection" "keep-alive"}
                   {"connection" ""}
                   {"sec-websocket-version" "8"}
                   {"sec-websocket-version" "13, 13"}
                   {"sec-websocket-version" nil}]]
    (is (nil? (handshake/check (update rfc :headers merge headers))) headers)))

(deftest keys-that-are-not-canonical
  (doseq [key ["dGhlIHNhbXBsZSBub25jZQ"
               "dGhlIHNhbXBsZSBub25jZQ="
               "dGhlIHNhbXBsZSBub25jZQ==="
               "dGhlIHNhbXBsZSBub25jZR=="
               "dGhlIHNhbXBsZSBub25jZ_=="
               "dGhlIHNhbXBsZSBub25-ZQ=="
               " dGhlIHNhbXBsZSBub25jZQ=="
               "dGhlIHNhbXBsZSBub25jZQ== "
               "dGhlIHNhbXBsZSBub25jZTEy"
               "dGhlIHNhbXBsZSBub25jZQ==\n"
               "=GhlIHNhbXBsZSBub25jZQ=="
               ""
               nil]]
    (is (nil? (handshake/check (assoc-in rfc [:headers "sec-websocket-key"] key))) key)))
