(ns org.httpkit.server-address-test
  ":address-finder, :channel-factory, and what they may ask for."
  (:require [clojure.edn :as edn]
            [clojure.java.io :as io]
            [clojure.string :as string]
            [clojure.test :refer [deftest is testing use-fixtures]]
            [httpkit-rs.raw :as raw]
            [httpkit-rs.skip :refer [skip]]
            [httpkit-rs.temporary :as temporary]
            [httpkit-rs.unix :as unix]
            [httpkit-rs.websocket :as ws]
            [org.httpkit.server :as server])
  (:import (java.net Inet6Address InetSocketAddress NetworkInterface SocketAddress StandardSocketOptions URL)
           (java.nio.channels ServerSocketChannel UnsupportedAddressTypeException)))

(use-fixtures :each temporary/cleanup)

(defn- factory
  "Returns a channel factory that makes a channel with `prepare` and remembers it in the atom."
  [made prepare]
  (fn [_address]
    (let [channel (ServerSocketChannel/open)]
      (prepare channel)
      (swap! made conj channel)
      channel)))

(deftest order
  (let [calls (atom [])
        address (InetSocketAddress. "127.0.0.1" 0)]
    (raw/with-server [port (fn [_] {:body "served"})
                      {:ip "ignored.invalid"
                       :port 70000
                       :address-finder (fn [] (swap! calls conj :address) address)
                       :channel-factory (fn [given]
                                          (swap! calls conj [:channel (identical? address given)])
                                          (ServerSocketChannel/open))}]
      (is (= [:address [:channel true]] @calls))
      (is (pos? port))
      (is (= "served" (:body (raw/fetch port "GET" "/")))))))

(deftest the-users-channel
  (let [made (atom [])]
    (testing "is asked for its options and closed"
      (raw/with-server [port (fn [_] {:body "served"})
                        {:channel-factory
                         (factory made (fn [^ServerSocketChannel channel]
                                         (.setOption channel StandardSocketOptions/SO_RCVBUF (int 8192))
                                         (.setOption channel StandardSocketOptions/SO_REUSEPORT true)))}]
        (is (= [false] (map #(.isOpen ^ServerSocketChannel %) @made)))
        (is (= "served" (:body (raw/fetch port "GET" "/"))))
        (testing "SO_REUSEPORT: two servers share a port"
          (let [other (server/run-server (fn [_] {:body "served"})
                                         {:ip "127.0.0.1" :port port
                                          :channel-factory
                                          (factory made (fn [^ServerSocketChannel channel]
                                                          (.setOption channel StandardSocketOptions/SO_REUSEPORT true)))})]
            (is (= port (:local-port (meta other))))
            (other))))))
  (testing "what is no such channel is refused"
    (is (thrown? ClassCastException (server/run-server (fn [_]) {:port 0 :channel-factory (fn [_] nil)})))
    (is (thrown? java.nio.channels.AlreadyBoundException
                 (server/run-server (fn [_]) {:port 0
                                              :channel-factory #(doto (ServerSocketChannel/open) (.bind %))})))))

(deftest finders
  (is (thrown? NullPointerException (server/run-server (fn [_]) {:address-finder (fn [] nil)})))
  (is (thrown? java.nio.channels.UnresolvedAddressException
               (server/run-server (fn [_]) {:address-finder #(InetSocketAddress/createUnresolved "a" 1)})))
  (is (thrown? UnsupportedAddressTypeException
               (server/run-server (fn [_]) {:address-finder (fn [] (proxy [SocketAddress] []))})))
  (is (thrown-with-msg? Exception #"mine" (server/run-server (fn [_]) {:address-finder #(throw (Exception. "mine"))}))))

(deftest unix-domain-sockets
  (let [path (io/file (temporary/directory) "socket")]
    (if-let [address (unix/address path)]
      (let [seen (promise)
            server (server/run-server (fn [request] (deliver seen request) {:body "over a file"})
                                      {:address-finder (fn [] address) :legacy-return-value? false})]
        (is (= -1 (server/server-port server)))
        (is (re-find #"over a file$" (unix/exchange address (raw/request "GET" "/" :headers {"Connection" "close"}))))
        (is (nil? (:remote-addr (raw/await-value seen))))
        (testing "the address of a channel has a text"
          (is (string? (str (:async-channel @seen)))))
        @(server/server-stop! server)
        (is (not (.exists path))))
      (skip "this JDK has no Unix domain sockets"))))

(deftest a-channel-that-has-ended
  (testing "still prints its addresses, in on-close and later, whoever ended it"
    (doseq [[kind connect] {"WebSocket" #(ws/connect %)
                            "unanswered request" #(raw/write (raw/connect %) (raw/request "GET" "/"))
                            "request on its last connection" #(raw/write (raw/connect %) (raw/request "GET" "/" :version "1.0"))}
            [how end] {"client leaves" (fn [connection _] (ws/reset connection))
                       "server closes" (fn [_ channel] (server/close channel))
                       "server sends the last" (fn [_ channel] (server/send! channel "last" true))}]
      (testing (str kind ": " how)
        (let [opened (promise)
              closed (promise)]
          (raw/with-stats [port stats (fn [request]
                                        (server/as-channel request {:on-open (fn [channel]
                                                                               (deliver opened [channel (str channel)]))
                                                                    :on-close (fn [channel _] (deliver closed (str channel)))}))
                           {}]
            (let [connection (connect port)
                  [channel before] (raw/await-value opened)]
              (is (re-matches #"/127\.0\.0\.1:\d+<->/127\.0\.0\.1:\d+" before))
              (end connection channel)
              (is (= before (raw/await-value closed)))
              (raw/disconnect connection)
              (is (raw/await-true #(zero? (long (:connections (stats))))))
              (is (= before (str channel))))))))))

(defn- link-local
  "Returns an address of this machine that belongs to one of its interfaces only, as others may have the same; nil if there is none."
  ^Inet6Address []
  (first (for [^NetworkInterface interface (enumeration-seq (NetworkInterface/getNetworkInterfaces))
               address (enumeration-seq (.getInetAddresses interface))
               :when (and (instance? Inet6Address address) (.isLinkLocalAddress ^Inet6Address address))]
           address)))

(deftest an-address-of-one-interface
  (if-let [address (link-local)]
    (let [named (.getHostAddress address)
          [plain] (string/split named #"%")
          numbered (str plain "%" (.getScopeId address))]
      (doseq [ip [named numbered plain]]
        (testing ip
          (raw/with-server [port (fn [{:keys [remote-addr async-channel]}] {:body (pr-str [remote-addr (str async-channel)])})
                            {:ip ip}]
            (let [[remote ends] (edn/read-string (slurp (URL. "http" named (int port) "/")))]
              (is (= numbered remote))
              (is (string/starts-with? ends (str "/[" numbered "]:" port "<->/[" numbered "]:"))))))))
    (skip "this machine has no link-local address")))
