(ns integration.http
  "A small HTTP client for the integration tests, on java.net.http with HTTP/1.1."
  (:import (java.net CookieManager URI)
           (java.net.http HttpClient HttpClient$Redirect HttpClient$Version HttpRequest HttpRequest$BodyPublishers
                          HttpResponse HttpResponse$BodyHandlers)
           (java.time Duration)
           (java.util.concurrent CompletableFuture)))

(defn client
  "Returns a client that keeps cookies and does not follow redirects."
  ^HttpClient []
  (-> (HttpClient/newBuilder)
      (.version HttpClient$Version/HTTP_1_1)
      (.followRedirects HttpClient$Redirect/NEVER)
      (.cookieHandler (CookieManager.))
      (.build)))

(defn- publisher [body]
  (cond
    (nil? body) (HttpRequest$BodyPublishers/noBody)
    (bytes? body) (HttpRequest$BodyPublishers/ofByteArray body)
    :else (HttpRequest$BodyPublishers/ofString body)))

(defn- http-request ^HttpRequest [{:keys [method url headers body]}]
  (let [builder (-> (HttpRequest/newBuilder (URI. url))
                    (.timeout (Duration/ofSeconds 30))
                    (.method (or method "GET") (publisher body)))]
    (doseq [[field value] headers]
      (.header builder field value))
    (.build builder)))

(defn- response-map [^HttpResponse response]
  {:status (.statusCode response)
   :headers (into {} (for [[field values] (.map (.headers response))] [field (first values)]))
   :body (.body response)})

(defn send-async
  "Sends the request (:method :url :headers :body) and returns a future of the response map with a String body."
  ^CompletableFuture [^HttpClient client request]
  (.thenApply (.sendAsync client (http-request request) (HttpResponse$BodyHandlers/ofString))
              (reify java.util.function.Function
                (apply [_ response] (response-map response)))))

(defn send-request
  "Sends the request and returns the response map with a String body."
  [client request]
  (.get (send-async client request)))

(defn send-for-bytes
  "Sends the request and returns the response map with a byte array body."
  [^HttpClient client request]
  (response-map (.send client (http-request request) (HttpResponse$BodyHandlers/ofByteArray))))
