(ns httpkit-rs.websocket
  "A WebSocket client that sees every frame, and can send what no client should: RFC 6455 on top of `httpkit-rs.raw`."
  (:require [httpkit-rs.raw :as raw])
  (:import (java.io ByteArrayOutputStream InputStream OutputStream)
           (java.net Socket)
           (java.nio ByteBuffer)
           (java.util.concurrent LinkedBlockingQueue TimeUnit)))

(def key-of-rfc "dGhlIHNhbXBsZSBub25jZQ==")
(def accept-of-rfc "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

(def handshake-headers
  {"Upgrade" "websocket"
   "Connection" "Upgrade"
   "Sec-WebSocket-Version" "13"
   "Sec-WebSocket-Key" key-of-rfc})

(defn handshake-text
  "Returns the opening handshake; `headers` are added, and one of nil taken out."
  [target headers]
  (raw/request "GET" target :headers (filter val (merge handshake-headers headers))))

(defn handshake
  "Sends the opening handshake and returns the head of the answer."
  [connection & {:keys [target headers]}]
  (raw/write connection (handshake-text (or target "/") headers))
  (raw/read-head connection))

(defn connect
  "Returns a connection to the port that is a WebSocket. Options: `:target`, `:headers`, and those of `raw/connect`."
  [port & {:keys [target headers] :as options}]
  (let [connection (apply raw/connect port (mapcat identity options))
        {:keys [status] :as answer} (handshake connection :target target :headers headers)]
    (when-not (= 101 status)
      (raw/disconnect connection)
      (throw (ex-info "No WebSocket" {:answer answer})))
    connection))

(defmacro with-socket
  "Runs the body with a WebSocket to the port and closes the connection."
  [[name port & options] & body]
  `(let [~name (connect ~port ~@options)]
     (try ~@body (finally (raw/disconnect ~name)))))

(def ^:private opcodes {:continuation 0 :text 1 :binary 2 :close 8 :ping 9 :pong 10})
(def ^:private types (into {} (map (juxt val key)) opcodes))

(defn utf8 ^bytes [^String text]
  (.getBytes text "UTF-8"))

(defn bytes-of
  "Returns bytes from a String, in UTF-8, from numbers, or as they are."
  ^bytes [payload]
  (cond
    (string? payload) (utf8 payload)
    (bytes? payload) payload
    :else (byte-array (map unchecked-byte payload))))

(defn close-payload
  "Returns the payload of a Close frame."
  ^bytes [code reason]
  (let [text (utf8 reason)]
    (.array (doto (ByteBuffer/allocate (+ 2 (alength text)))
              (.putShort (unchecked-short code))
              (.put text)))))

(defn frame
  "Returns a frame: a type or opcode and a payload as in `bytes-of`. Options: `:fin?` (true), `:mask?` (true), `:rsv` (0), and
  `:length`, in place of the payload's, written in the `:width` 7, 16 or 64 bits (default: the least)."
  ^bytes [type payload & {:keys [fin? mask? rsv length width] :or {fin? true mask? true rsv 0}}]
  (let [payload (bytes-of payload)
        length (long (or length (alength payload)))
        width (long (or width (cond (< length 126) 7 (< length 65536) 16 :else 64)))
        mask (byte-array (if mask? [0x12 0x34 0x56 0x78] []))
        mask-bit (if mask? 0x80 0)
        out (ByteBuffer/allocate (+ 14 (alength payload)))]
    (.put out (unchecked-byte (bit-or (if fin? 0x80 0) (bit-shift-left (long rsv) 4) (long (opcodes type type)))))
    (case width
      7 (.put out (unchecked-byte (bit-or (long mask-bit) length)))
      16 (doto out (.put (unchecked-byte (bit-or (long mask-bit) 126))) (.putShort (unchecked-short length)))
      64 (doto out (.put (unchecked-byte (bit-or (long mask-bit) 127))) (.putLong length)))
    (.put out mask)
    (dotimes [i (alength payload)]
      (.put out (if mask?
                  (unchecked-byte (bit-xor (aget payload i) (aget mask (bit-and i 3))))
                  (aget payload i))))
    (java.util.Arrays/copyOf (.array out) (.position out))))

(defn write-bytes
  "Sends the arrays in one write."
  [{:keys [^OutputStream out] :as connection} & arrays]
  (let [all (ByteArrayOutputStream.)]
    (doseq [^bytes array arrays]
      (.write all array 0 (alength array)))
    (.write out (.toByteArray all))
    (.flush out)
    connection))

(defn send-frame
  "Sends one frame; arguments as for `frame`."
  [connection type payload & options]
  (write-bytes connection (apply frame type payload options)))

(defn send-text [connection text] (send-frame connection :text text))
(defn send-binary [connection payload] (send-frame connection :binary payload))

(defn send-close
  ([connection] (send-frame connection :close []))
  ([connection code reason] (send-frame connection :close (close-payload code reason))))

(defn- read-exactly ^bytes [^InputStream in ^long length]
  (let [bytes (.readNBytes in (int length))]
    (when (< (alength bytes) length)
      (throw (ex-info "The connection ended within a frame" {})))
    bytes))

(defn read-frame
  "Returns the server's next frame, nil at the end of the connection: {:type, :fin?, :rsv, :bytes}, with `:text` of a text,
  ping or pong, and `:code` and `:reason` of a Close. A masked frame is an exception."
  [{:keys [^InputStream in]}]
  (let [first-byte (.read in)]
    (when-not (neg? first-byte)
      (let [second-byte (bit-and 0xff (aget (read-exactly in 1) 0))
            _ (when (bit-test second-byte 7) (throw (ex-info "The server masks" {})))
            length (case second-byte
                     126 (bit-and 0xffff (.getShort (ByteBuffer/wrap (read-exactly in 2))))
                     127 (.getLong (ByteBuffer/wrap (read-exactly in 8)))
                     second-byte)
            bytes (read-exactly in length)
            type (types (bit-and first-byte 15))
            text #(String. bytes (int %) (int (- (alength bytes) (long %))) "UTF-8")]
        (cond-> {:type type :fin? (bit-test first-byte 7) :rsv (bit-and 7 (bit-shift-right first-byte 4)) :bytes bytes}
          (#{:text :ping :pong} type) (assoc :text (text 0))
          (and (= :close type) (zero? (alength bytes))) (assoc :code nil :reason "")
          (and (= :close type) (< 1 (alength bytes)))
          (assoc :code (bit-and 0xffff (.getShort (ByteBuffer/wrap bytes))) :reason (text 2)))))))

(defn read-text
  "Returns the text of the next frame, which is whole and a text."
  [connection]
  (let [{:keys [type fin? text] :as frame} (read-frame connection)]
    (if (and fin? (= :text type))
      text
      (throw (ex-info "No text" {:frame frame})))))

(defn read-close
  "Returns [code reason] of the next frame, which is a Close; [nil \"\"] of an empty one."
  [connection]
  (let [{:keys [type code reason] :as frame} (read-frame connection)]
    (if (= :close type)
      [code reason]
      (throw (ex-info "No Close" {:frame frame})))))

(defn reset
  "Ends the connection by a TCP reset, as a crashed client does."
  [{:keys [^Socket socket] :as connection}]
  (.setSoLinger socket true 0)
  (raw/disconnect connection))

(defn events
  "Returns a queue for what callbacks hear."
  ^LinkedBlockingQueue []
  (LinkedBlockingQueue.))

(defn note
  "Puts the event into the queue, also on a thread that the server's stop interrupts."
  [^LinkedBlockingQueue events event]
  (.add events event))

(defn next-event
  "Returns the next event, or `:timeout` if none comes."
  [^LinkedBlockingQueue events]
  (let [event (.poll events (long raw/patience-millis) TimeUnit/MILLISECONDS)]
    (if (nil? event) :timeout event)))

(def ^:private heels-millis
  "How long a second call that follows on the heels of the first may take. Longer would find more, and cost each test that."
  20)

(defn no-event?
  "Returns true if no event comes any more, as far as can be told in a moment."
  [^LinkedBlockingQueue events]
  (nil? (.poll events (long heels-millis) TimeUnit/MILLISECONDS)))
