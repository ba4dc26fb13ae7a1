(ns load.readers
  "Many WebSocket clients on one thread, which compare every byte that they get with what they must get."
  (:import (java.io IOException)
           (java.net InetSocketAddress)
           (java.nio ByteBuffer)
           (java.nio.channels SelectionKey Selector SocketChannel)
           (java.nio.charset StandardCharsets)
           (java.util Set)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private patience-millis 20000)
(def ^:private buffer-bytes (* 256 1024))

(def ^:private handshake
  "The example of RFC 6455, section 1.3."
  (str " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))

(defn- ascii ^bytes [^String text]
  (.getBytes text StandardCharsets/US_ASCII))

(defn- read-head
  "Reads the server's answer up to its empty line, byte by byte: what follows belongs to the first frame."
  [^SocketChannel channel]
  (let [one (ByteBuffer/allocate 1)
        text (StringBuilder.)]
    (while (neg? (.indexOf text "\r\n\r\n"))
      (when (neg? (.read channel (.clear one)))
        (throw (IOException. (str "no WebSocket: " text))))
      (.append text (char (.get one 0))))
    (when-not (.startsWith (str text) "HTTP/1.1 101 ")
      (throw (IOException. (str "no WebSocket: " text))))))

(defn connect
  "Returns an open WebSocket as a channel that blocks."
  ^SocketChannel [port path]
  (doto (SocketChannel/open (InetSocketAddress. "127.0.0.1" (int port)))
    (.write (ByteBuffer/wrap (ascii (str "GET " path handshake))))
    (read-head)))

(defn- frame-head
  "A text frame's head with a length of 64 bits; a server's frames are that long only above 65535 bytes."
  [^ByteBuffer frame length masked?]
  (.put frame (unchecked-byte 0x81))
  (.put frame (unchecked-byte (if masked? 0xff 0x7f)))
  (.putLong frame (long length))
  (when masked?
    ;; A mask of zeros leaves the payload as it is.
    (.putInt frame 0)))

(defn frame
  "Returns a text frame, ready to be read: a client's when `masked?`, else a server's. The payload has 64 KiB or more."
  ^ByteBuffer [^bytes payload masked?]
  (doto (ByteBuffer/allocate (+ 14 (alength payload)))
    (frame-head (alength payload) masked?)
    (.put payload)
    (.flip)))

(defn send-frame [^SocketChannel channel ^ByteBuffer frame]
  (let [rest (.duplicate frame)]
    (while (.hasRemaining rest)
      (.write channel rest))))

(defrecord Readers [^Selector selector channels ^longs positions ^ByteBuffer buffer])

(defn- register [^Selector selector ^SocketChannel channel number]
  (.configureBlocking channel false)
  (.register channel selector SelectionKey/OP_READ number))

(defn open
  "Opens so many WebSockets to the path."
  [port path how-many]
  (let [selector (Selector/open)
        channels (vec (repeatedly how-many #(connect port path)))]
    (run! (fn [number] (register selector (channels number) number)) (range how-many))
    (->Readers selector channels (long-array how-many) (ByteBuffer/allocateDirect buffer-bytes))))

(defn close [{:keys [^Selector selector channels]}]
  (run! #(.close ^SocketChannel %) channels)
  (.close selector))

(defn- advance
  "Reads once and compares; returns the new position in the expected frame."
  ^long [^SocketChannel channel ^ByteBuffer buffer ^ByteBuffer expected ^long position]
  (let [length (.read channel (.clear buffer))
        end (+ position length)]
    (when (neg? length)
      (throw (IOException. "the server closed a reader's connection")))
    (when (or (> end (.limit expected))
              (not= (.flip buffer) (.. expected duplicate (position (int position)) (limit (int end)))))
      (throw (IOException. (str "a reader got something else than it should, at byte " position))))
    end))

(defn- select
  "Waits for readers with news and reads them; returns how many have the whole frame by that."
  ^long [{:keys [^Selector selector ^longs positions buffer]} ^ByteBuffer expected]
  (when (zero? (.select selector (long patience-millis)))
    (throw (IOException. "no reader got anything for a long time")))
  (let [^Set keys (.selectedKeys selector)
        whole (reduce (fn [^long whole ^SelectionKey key]
                        (let [number (int (.attachment key))
                              position (advance (.channel key) buffer expected (aget positions number))]
                          (aset positions number position)
                          (if (= position (.limit expected)) (inc whole) whole)))
                      0 keys)]
    (.clear keys)
    (long whole)))

(defn await-frame
  "Waits until every reader has got exactly this frame; throws an IOException if one gets anything else, or nothing."
  [{:keys [channels ^longs positions] :as readers} expected]
  (loop [missing (count channels)]
    (when (pos? missing)
      (recur (- missing (select readers expected)))))
  (java.util.Arrays/fill positions 0))
