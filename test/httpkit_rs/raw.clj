(ns httpkit-rs.raw
  "A client that sees every byte: raw sockets, with just enough HTTP/1.1 to take a response apart.

  Nothing waits longer than `patience-millis`; a test that would is wrong, and fails."
  (:require [clojure.string :as string]
            [clojure.test :refer [testing]]
            [org.httpkit.server :as server])
  (:import (java.io BufferedInputStream ByteArrayOutputStream InputStream)
           (java.net InetAddress InetSocketAddress Socket SocketException)
           (java.util.concurrent CountDownLatch TimeUnit)))

(def patience-millis 20000)

(defn connect
  "Returns a connection to the port; `:receive-buffer` makes a client that takes little at a time, `:from` is the address of its
  own side."
  [port & {:keys [address receive-buffer ^String from]}]
  (let [socket (doto (Socket.) (.setSoTimeout patience-millis) (.setTcpNoDelay true))]
    (when receive-buffer
      (.setReceiveBufferSize socket receive-buffer))
    (when from
      (.bind socket (InetSocketAddress. from 0)))
    (.connect socket (InetSocketAddress. (InetAddress/getByName (or address "127.0.0.1")) (int port)) patience-millis)
    {:socket socket
     :in (BufferedInputStream. (.getInputStream socket))
     :out (.getOutputStream socket)}))

(defn disconnect [{:keys [^Socket socket]}]
  (.close socket))

(defn half-close
  "Ends the client's side; it can still read."
  [{:keys [^Socket socket]}]
  (.shutdownOutput socket))

(defmacro with-connection
  "Runs the body with a connection to the port and closes it."
  [[name port & options] & body]
  `(let [~name (connect ~port ~@options)]
     (try ~@body (finally (disconnect ~name)))))

(defn write
  "Sends the texts as Latin-1, in one write."
  [{:keys [^java.io.OutputStream out] :as connection} & texts]
  (.write out (.getBytes ^String (apply str texts) "ISO-8859-1"))
  (.flush out)
  connection)

(defn- read-byte ^long [^InputStream in]
  (let [byte (.read in)]
    (if (neg? byte)
      (throw (ex-info "The connection ended within a response" {}))
      byte)))

(defn- read-line-crlf [^InputStream in]
  (let [line (StringBuilder.)]
    (loop []
      (let [byte (read-byte in)]
        (if (= byte 10)
          (subs (str line) 0 (dec (.length line)))
          (do (.append line (char byte)) (recur)))))))

(defn- read-bytes ^bytes [^InputStream in length]
  (let [bytes (.readNBytes in (int length))]
    (when (< (alength bytes) (long length))
      (throw (ex-info "The connection ended within a body" {:read (alength bytes) :length length})))
    bytes))

(defn- read-chunked ^bytes [^InputStream in]
  (let [body (ByteArrayOutputStream.)]
    (loop []
      (let [size (Long/parseLong (read-line-crlf in) 16)]
        (.write body (read-bytes in size))
        (read-line-crlf in)
        (if (zero? size)
          (.toByteArray body)
          (recur))))))

(defn read-head
  "Reads a response up to its empty line: {:status, :reason, :version, :lines ([name value] as written), :headers (by
  lower-case name)}. Returns nil at the end of the connection."
  [{:keys [^BufferedInputStream in]}]
  (.mark in 1)
  (when (<= 0 (.read in))
    (.reset in)
    (let [[_ version status reason] (re-matches #"(HTTP/1\.1) (\d{3}) (.*)" (read-line-crlf in))
          lines (mapv #(string/split % #": ?" 2) (take-while seq (repeatedly #(read-line-crlf in))))]
      {:status (Long/parseLong status)
       :version version
       :reason reason
       :lines lines
       :headers (into {} (for [[name value] lines] [(string/lower-case name) value]))})))

(defn read-response
  "Reads a whole response, its body as bytes in `:bytes` and as UTF-8 in `:body`. `:head? true` after a HEAD request."
  [{:keys [^InputStream in] :as connection} & {:keys [head?]}]
  (when-let [{:keys [status headers] :as head} (read-head connection)]
    (let [^bytes bytes (cond
                         (or head? (< status 200) (= 204 status) (= 304 status)) (byte-array 0)
                         (headers "content-length") (read-bytes in (Long/parseLong (headers "content-length")))
                         (= "chunked" (headers "transfer-encoding")) (read-chunked in)
                         :else (.readAllBytes in))]
      (assoc head :bytes bytes :body (String. bytes "UTF-8")))))

(defn ended?
  "Waits for the next byte; returns true if there is none because the server closed the connection."
  [{:keys [^InputStream in]}]
  (try
    (neg? (.read in))
    (catch SocketException _ true)))

(defn read-rest
  "Reads to the end of the connection, as text. A reset ends it too."
  [{:keys [^InputStream in]}]
  (let [text (StringBuilder.)]
    (try
      (loop [byte (.read in)]
        (when-not (neg? byte)
          (.append text (char byte))
          (recur (.read in))))
      (catch SocketException _ nil))
    (str text)))

(defn request
  "Returns the text of a request. `:version` is 1.1, `:headers` a map, `:body` a text whose length is declared."
  [method target & {:keys [version headers body]}]
  (str method " " target " HTTP/" (or version "1.1") "\r\nHost: localhost\r\n"
       (string/join (for [[name value] headers] (str name ": " value "\r\n")))
       (when body (str "Content-Length: " (count body) "\r\n"))
       "\r\n" body))

(defn fetch
  "Sends one request on a connection of its own and returns the response."
  [port method target & options]
  (with-connection [connection port]
    (write connection (apply request method target options))
    (read-response connection :head? (= method "HEAD"))))

(defn await-latch
  "Waits until the latch is open; returns false if that takes too long."
  [^CountDownLatch latch]
  (.await latch patience-millis TimeUnit/MILLISECONDS))

(defn await-value
  "Returns the promise's value, or `:timeout` if none is delivered."
  [promise]
  (deref promise patience-millis :timeout))

(defn await-true
  "Asks until the answer is true, for states nobody announces; returns false if that takes too long."
  [condition]
  (let [deadline (+ (System/currentTimeMillis) (long patience-millis))]
    (loop []
      (cond
        (condition) true
        (< deadline (System/currentTimeMillis)) false
        :else (do (Thread/yield) (recur))))))

(defn await-client-gone
  "Waits until the server knows that the client of the request has closed its connection; returns false if that takes too long."
  [request]
  (await-true #(string/includes? (str (:async-channel request)) "null")))

(defmacro with-stats
  "As `with-server`, with `stats` bound to a function that returns the server's `server-stats`."
  [[port stats handler options] & body]
  `(let [stop# (server/run-server ~handler (merge {:port 0 :ip "127.0.0.1"} ~options))
         ~port (:local-port (meta stop#))
         ~stats (fn [] (server/server-stats stop#))]
     (try ~@body (finally (stop#)))))

(defmacro with-server
  "Runs the body with `port` bound to the port of a server with this handler and options, then stops the server."
  [[port handler options] & body]
  `(with-stats [~port stats# ~handler ~options] ~@body))

(def dispatches
  "The ways of dispatch; what a server does must not depend on them."
  [:pool :in-place :adaptive])

(defmacro with-servers
  "As `with-server`, once for each way of dispatch."
  [[port handler options] & body]
  `(doseq [dispatch# dispatches]
     (testing dispatch#
       (with-server [~port ~handler (assoc ~options :dispatch dispatch#)]
         ~@body))))

(defn quiet
  "Returns options that keep expected errors off the screen and in the atom `log`, as [message exception]."
  ([] (quiet (atom [])))
  ([log]
   {:error-logger (fn [message exception] (swap! log conj [message exception]))
    :warn-logger (fn [message exception] (swap! log conj [message exception]))}))
