(ns immutant.web.internal.body
  "Bodies of ordinary responses, where Immutant's rules are not the server's: sequences, and who hears of failures.

  Everything is turned into an InputStream that the server reads no faster than the client takes it."
  (:require [immutant.web.internal.content-type :as content-type])
  (:import (clojure.lang ISeq)
           (java.io ByteArrayInputStream File FileInputStream IOException InputStream)
           (java.nio.charset Charset)
           (org.httpkit.server ProxiedStream)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn bodiless?
  "Returns true if an answer with this status, nil for 200, ends with its head (RFC 9110 section 6.4.1)."
  [head? status]
  (or head?
      (and (integer? status)
           (or (< (long status) 200) (contains? #{204 205 304} status)))))

(defn- element-stream
  "Returns the bytes of one element of a sequence that is no sequence itself."
  ^InputStream [element ^Charset charset]
  (cond
    (nil? element) (InputStream/nullInputStream)
    (string? element) (ByteArrayInputStream. (.getBytes ^String element charset))
    (bytes? element) (ByteArrayInputStream. element)
    (instance? File element) (FileInputStream. ^File element)
    (instance? InputStream element) (ProxiedStream/readable element)
    :else (throw (IllegalStateException. (str "Can't coerce body of type " (class element))))))

(defn- flatten-once
  "Returns the sequence with its first element no sequence, or nil if there is none."
  [elements]
  (when-let [elements (seq elements)]
    (if (seq? (first elements))
      (recur (concat (first elements) (rest elements)))
      elements)))

(defn- sequence-stream
  "Returns what the elements write one after the other. An element is computed when it is needed, and not kept."
  ^InputStream [elements ^Charset charset]
  (let [waiting (volatile! elements)
        current (volatile! nil)
        single (byte-array 1)
        next-stream (fn []
                      (let [elements (flatten-once @waiting)]
                        (vreset! waiting (rest elements))
                        (when elements
                          (vreset! current (element-stream (first elements) charset)))))
        read-some (fn [bytes offset length]
                    (loop []
                      (if-let [^InputStream stream (or @current (next-stream))]
                        (let [count (long (.read stream bytes (int offset) (int length)))]
                          (if (neg? count)
                            (do (.close stream)
                                (vreset! current nil)
                                (recur))
                            count))
                        -1)))]
    (proxy [InputStream] []
      (read
        ([] (let [count (read-some single 0 1)]
              (if (neg? (long count)) -1 (bit-and 0xff (long (aget single 0))))))
        ([bytes] (read-some bytes 0 (alength ^bytes bytes)))
        ([bytes offset length] (if (zero? (long length)) 0 (read-some bytes offset length))))
      (close []
        (when-let [^InputStream stream @current]
          (.close stream))))))

(defn- reporting-stream
  "Returns the stream with `report` called, at most once, with the exception its reading throws, or with one that says that
  it was not read to its end. What `report` throws itself takes the place of neither the exception nor the close."
  ^InputStream [^InputStream stream report]
  (let [stream (ProxiedStream/readable stream)
        over (volatile! false)
        tell (fn [exception]
               (when-not @over
                 (vreset! over true)
                 (report exception)))
        noting (fn [read]
                 (try
                   (let [count (long (read))]
                     (when (neg? count)
                       (vreset! over true))
                     count)
                   (catch Throwable e
                     (try
                       (tell e)
                       (catch Throwable other
                         (when-not (identical? other e)
                           (.addSuppressed e other))))
                     (throw e))))]
    (proxy [InputStream] []
      (read
        ([] (noting #(.read stream)))
        ([bytes] (noting #(.read stream ^bytes bytes)))
        ([bytes offset length] (noting #(.read stream ^bytes bytes (int offset) (int length)))))
      (available [] (.available stream))
      (close []
        (try
          (tell (IOException. "The client has gone before the body was written"))
          (finally
            (.close stream)))))))

(defn- readable
  "Returns what is wrong with the File as an exception, or nil."
  [^File file]
  (when-not (.isFile file)
    (java.io.FileNotFoundException. (.getPath file))))

(defn- with-reports
  "Returns the response with a body whose failures are told to its :write-error-handler, with the original response: without
  its body if that is a sequence, which may be longer than the heap and must not be held from its beginning."
  [request {:keys [status body write-error-handler] :as response} original]
  (let [original (cond-> original (instance? ISeq (:body original)) (dissoc :body))
        report (fn [exception] (write-error-handler exception request original))]
    (cond
      (bodiless? (= :head (:request-method request)) status) response
      (instance? InputStream body) (assoc response :body (reporting-stream body report))
      (instance? File body) (if-let [exception (readable body)]
                              (do (report exception)
                                  (throw exception))
                              response)
      :else response)))

(defn- with-sequence [{:keys [body headers] :as response} default-charset]
  (if (instance? ISeq body)
    (assoc response :body (sequence-stream body (or (content-type/charset headers) default-charset)))
    response))

(defn- with-default-charset
  "The server writes texts whose Content-Type names no charset in UTF-8."
  [{:keys [body headers] :as response} ^Charset default-charset]
  (if (and (string? body) (not= "UTF-8" (.name default-charset)) (nil? (content-type/charset headers)))
    (assoc response :body (.getBytes ^String body default-charset))
    response))

(defn prepare
  "Returns the response as the server writes it the way Immutant does."
  [request response default-charset]
  (let [prepared (-> response
                     (with-sequence default-charset)
                     (with-default-charset default-charset))]
    (if (:write-error-handler response)
      (with-reports request prepared response)
      prepared)))
