(ns org.httpkit.engine.address
  "Finds out where a server listens and with which socket options, the way http-kit's options say it.

  The engine opens the listening socket itself. A user's channel is asked for its options and closed."
  (:require [clojure.string :as string]
            [org.httpkit.engine.check :as check]
            [org.httpkit.engine.options :as options])
  (:import (java.net Inet6Address InetAddress InetSocketAddress NetworkInterface SocketAddress SocketOption StandardSocketOptions)
           (java.nio.channels AlreadyBoundException ServerSocketChannel UnsupportedAddressTypeException)
           (org.httpkit.engine Configuration UnresolvedAddress)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(def ^:private system-receive-buffer 0)

(defn- port ^long [options]
  (let [port (get options :port 8090)]
    (if (and (number? port) (not (<= 0.0 (double port) 65535.0)))
      (throw (IllegalArgumentException. (str "port out of range:" port " (:port must be a number from 0 to 65535)")))
      (check/whole :port port [0 65535]))))

(defn- resolved
  "Returns the address; throws if it is a name nobody knows."
  ^InetSocketAddress [^InetSocketAddress address message]
  (when (.isUnresolved address)
    (throw (UnresolvedAddress. message)))
  address)

(defn- internet-address ^SocketAddress [options]
  (let [ip (get options :ip "0.0.0.0")]
    (cond
      (nil? ip) (throw (IllegalArgumentException. "hostname can't be null (:ip must be a host name or address)"))
      (string? ip) (resolved (InetSocketAddress. ^String ip (int (port options)))
                             (check/message :ip "an address or a known host's name, without scheme or port" ip))
      :else (check/wrong-class :ip "a host name or address" ip))))

(defn- unix-address?
  "Returns true for java.net.UnixDomainSocketAddress, a class of Java 16."
  [^SocketAddress address]
  (= "java.net.UnixDomainSocketAddress" (.getName (class address))))

(defn- scope
  "Returns the number of the interface that an IPv6 address needs or names, else 0."
  ^long [^InetAddress address]
  (if (instance? Inet6Address address)
    (let [own (.getScopeId ^Inet6Address address)
          interface (when (and (zero? own) (.isLinkLocalAddress address))
                      (NetworkInterface/getByInetAddress address))]
      (if interface (.getIndex interface) own))
    0))

(defn- literal
  "Returns the address as the engine reads it, its interface by number."
  ^String [^InetAddress address]
  (let [[text] (string/split (.getHostAddress address) #"%")
        scope (scope address)]
    (if (zero? scope) text (str text "%" scope))))

(defn- listen [^Configuration configuration ^SocketAddress address]
  (cond
    (instance? InetSocketAddress address)
    (let [address (resolved address (str ":address-finder must return an address that is resolved, got " address))
          literal (literal (.getAddress address))
          ;; Java's 0.0.0.0 is a dual-stack socket, so IPv6 clients are served under http-kit.
          dual-stack? (and (= literal "0.0.0.0") (not (Boolean/getBoolean "java.net.preferIPv4Stack")))]
      (.tcp configuration literal (int (.getPort address)) dual-stack?))

    (nil? address)
    (throw (NullPointerException. ":address-finder must return a java.net.SocketAddress, got nil"))

    (not (instance? SocketAddress address))
    (throw (ClassCastException.
            (str ":address-finder must return a java.net.SocketAddress, got " (pr-str address) " (" (.getName (class address)) ")")))

    (unix-address? address) (.unix configuration (str address))
    :else
    ;; The class is Java's; it has no message of its own.
    (throw (doto (UnsupportedAddressTypeException.)
             (.initCause (IllegalArgumentException.
                          (str ":address-finder must return an InetSocketAddress or a UnixDomainSocketAddress, got "
                               (.getName (class address)))))))))

(defn- option-value [^ServerSocketChannel channel ^SocketOption option]
  (when (contains? (.supportedOptions channel) option)
    (.getOption channel option)))

(defn- changed-receive-buffer
  "Returns the channel's receive buffer if the user changed it: a size that is set, even to the default, ends the system's
  own tuning."
  [^ServerSocketChannel channel unix?]
  (let [size (option-value channel StandardSocketOptions/SO_RCVBUF)]
    (if unix?
      system-receive-buffer
      (with-open [fresh (ServerSocketChannel/open)]
        (if (= size (option-value fresh StandardSocketOptions/SO_RCVBUF))
          system-receive-buffer
          size)))))

(defn- socket-options [^Configuration configuration channel-factory ^SocketAddress address backlog]
  (if channel-factory
    (let [made (channel-factory address)]
      (when-not (instance? ServerSocketChannel made)
        (throw (ClassCastException. (str ":channel-factory must return a ServerSocketChannel, got " (pr-str (class made))))))
      (with-open [channel ^ServerSocketChannel made]
        (when (.getLocalAddress channel)
          (throw (AlreadyBoundException.)))
        (.socket configuration
                 (boolean (option-value channel StandardSocketOptions/SO_REUSEADDR))
                 (boolean (option-value channel StandardSocketOptions/SO_REUSEPORT))
                 (int (changed-receive-buffer channel (unix-address? address)))
                 (int backlog))))
    (.socket configuration true false (int system-receive-buffer) (int backlog))))

(defn add-address
  "Adds the address and the options of the listening socket to the configuration, and returns it.

  Calls `:address-finder` and then `:channel-factory`, once each, if they are given."
  ^Configuration [^Configuration configuration options]
  (let [backlog (options/own-integer options :backlog 1024 1)
        address-finder (check/function :address-finder (:address-finder options))
        channel-factory (check/function :channel-factory (:channel-factory options))
        address (if address-finder (address-finder) (internet-address options))]
    (doto configuration
      (listen address)
      (socket-options channel-factory address backlog))))
