(ns httpkit-rs.unix
  "A client of Unix domain sockets, which Java has since version 16: tests skip before."
  (:import (java.net SocketAddress)
           (java.nio ByteBuffer)
           (java.nio.channels Channels SocketChannel)))

(defn address
  "Returns the java.net.UnixDomainSocketAddress of `path`, or nil before Java 16."
  ^SocketAddress [path]
  (when-let [class (try (Class/forName "java.net.UnixDomainSocketAddress") (catch ClassNotFoundException _ nil))]
    (.invoke (.getMethod ^Class class "of" (into-array Class [String])) nil (object-array [(str path)]))))

(defn exchange
  "Sends one request, which asks for the connection's end, and returns the whole answer as text."
  [^SocketAddress address ^String request]
  (with-open [channel (SocketChannel/open address)]
    (.write channel (ByteBuffer/wrap (.getBytes request)))
    (slurp (Channels/newInputStream channel))))
