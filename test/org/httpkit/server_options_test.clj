(ns org.httpkit.server-options-test
  "Wrong options are exceptions that name the option, before anything is bound or started."
  (:require [clojure.string :as string]
            [clojure.test :refer [are deftest is testing]]
            [httpkit-rs.raw :as raw]
            [org.httpkit.server :as server])
  (:import (java.net BindException InetSocketAddress ServerSocket)
           (java.util.concurrent ExecutorService Executors)
           (org.httpkit.engine UnresolvedAddress)))

(defn- refusal
  "Returns [exception-class message] of run-server with these options; stops the server should it start."
  [options]
  (try
    ((server/run-server (fn [_]) (merge {:port 0} options)))
    :started
    (catch Exception e
      [(class e) (ex-message e)])))

(defn- server-threads []
  (filter #(re-find #"server-loop|http-kit-server-worker" %)
          (map #(.getName ^Thread %) (keys (Thread/getAllStackTraces)))))

(deftest bad-values
  (are [exception text options] (let [[thrown message :as refused] (refusal options)]
                                  (is (= exception thrown) refused)
                                  (is (string/includes? (str message) text)))
    NullPointerException ":port" {:port nil}
    ClassCastException ":port" {:port "80"}
    IllegalArgumentException "port out of range:70000" {:port 70000}
    IllegalArgumentException "port out of range:-1" {:port -1}
    IllegalArgumentException "hostname can't be null" {:ip nil}
    ClassCastException ":ip" {:ip 5}
    UnresolvedAddress ":ip must be" {:ip "no.such.host.invalid"}
    UnresolvedAddress "got \"127.0.0.1:80\"" {:ip "127.0.0.1:80"}
    NullPointerException ":max-body" {:max-body nil}
    ArithmeticException "integer overflow" {:max-body 3000000000}
    ArithmeticException ":max-body" {:max-body 1e30}
    IllegalArgumentException ":max-body" {:max-body -1}
    ClassCastException ":max-body" {:max-body "1"}
    NullPointerException ":max-ws" {:max-ws nil}
    ArithmeticException ":max-ws" {:max-ws 3000000000}
    IllegalArgumentException ":max-ws" {:max-ws -1}
    IllegalArgumentException ":max-pending" {:max-pending -1}
    ClassCastException ":max-pending" {:max-pending "1"}
    ArithmeticException ":max-pending" {:max-pending 3000000000}
    IllegalArgumentException ":slow-client must be one of :close, :block, :drop" {:slow-client :wait}
    IllegalArgumentException ":ws-ping-interval" {:ws-ping-interval -1}
    ClassCastException ":ws-ping-interval" {:ws-ping-interval "30 s"}
    NullPointerException ":max-line" {:max-line nil}
    IllegalArgumentException ":max-line" {:max-line 0}
    IllegalArgumentException ":max-headers" {:max-headers 0}
    IllegalArgumentException ":max-headers" {:max-headers 70000}
    IllegalArgumentException ":max-connections" {:max-connections -1}
    IllegalArgumentException ":header-timeout" {:header-timeout -1}
    ClassCastException ":keep-alive-timeout" {:keep-alive-timeout :never}
    IllegalArgumentException ":backlog" {:backlog 0}
    IllegalArgumentException "No matching clause: " {:proxy-protocol nil}
    IllegalArgumentException ":proxy-protocol must be one of :disable, :enable, :optional" {:proxy-protocol :on}
    IllegalArgumentException ":dispatch must be one of :pool, :in-place" {:dispatch :magic}
    ClassCastException ":worker-pool" {:worker-pool 5}
    ClassCastException ":worker-pool" {:worker-pool (delay 5)}
    IllegalArgumentException ":max-pending-total" {:max-pending-total -1}
    ArithmeticException ":max-pending-total" {:max-pending-total 1e18}
    IllegalArgumentException ":max-received-total" {:max-received-total -1}
    ArithmeticException ":max-received-total" {:max-received-total 1e18}
    ClassCastException ":server-header" {:server-header 5}
    IllegalArgumentException ":server-header" {:server-header "a\r\nb"}
    IllegalArgumentException "Invalid event-names:" {:event-names "x"}
    ClassCastException ":event-names" {:event-names {"serverStatus413" 413}}
    IllegalArgumentException ":trusted-proxies" {:trusted-proxies "10.0.0.0/8"}
    IllegalArgumentException ":trusted-proxies must be addresses or networks" {:trusted-proxies ["10.0.0.0/99"]}
    IllegalArgumentException ":trusted-proxies" {:trusted-proxies [(string/join (repeat 70000 "1"))]}
    IllegalArgumentException ":trusted-proxies" {:trusted-proxies (repeat 70000 "::1")}
    IllegalArgumentException ":server-header" {:server-header (string/join (repeat 65536 "a"))}
    IllegalArgumentException ":port must be a number from 0 to 65535" {:port Double/NaN}
    ClassCastException ":port must be a number from 0 to 65535" {:port "80"}
    IllegalArgumentException "port out of range:1.0E300" {:port 1e300}
    IllegalArgumentException ":thread" {:thread 0 :allow-virtual? false}
    ClassCastException ":thread" {:thread "4" :allow-virtual? false}
    ArithmeticException ":n-threads" {:n-threads 4294967297 :allow-virtual? false}
    ArithmeticException ":n-max-threads" {:n-max-threads 1e300 :allow-virtual? false}
    IllegalArgumentException ":queue-size" {:queue-size 0 :allow-virtual? false}
    ArithmeticException ":queue-size" {:queue-size 4294967306 :allow-virtual? false}
    ClassCastException ":prefix" {:prefix 5 :allow-virtual? false}
    ClassCastException ":worker-name-prefix" {:worker-name-prefix :mine :allow-virtual? false}
    IllegalArgumentException ":n-threads" {:pool-opts {:n-threads -1 :allow-virtual? false}}
    ClassCastException ":pool-opts" {:pool-opts 5}
    ClassCastException ":max-connections must be a number" {:max-connections false}
    ClassCastException ":ring-async? must be true, false or nil" {:ring-async? "yes"}
    ClassCastException ":ring-async?" {:ring-async? 1}
    ClassCastException ":ring-async?" {:ring-async? :true}
    ClassCastException ":expose-errors?" {:expose-errors? "false"}
    ClassCastException ":legacy-content-length?" {:legacy-content-length? "false"}
    ClassCastException ":legacy-unsafe-remote-addr?" {:legacy-unsafe-remote-addr? "false"}
    IllegalArgumentException ":address-finder must be a function" {:address-finder 5}
    NullPointerException ":address-finder must return a java.net.SocketAddress, got nil" {:address-finder (fn [] nil)}
    ClassCastException ":address-finder must return a java.net.SocketAddress, got \"localhost\"" {:address-finder (fn [] "localhost")}
    UnresolvedAddress ":address-finder must return" {:address-finder #(InetSocketAddress/createUnresolved "a" 1)}
    IllegalArgumentException ":channel-factory must be a function" {:channel-factory 5}
    IllegalArgumentException ":error-logger must be a function" {:error-logger "log"}
    IllegalArgumentException ":warn-logger must be a function" {:warn-logger 5}
    IllegalArgumentException ":event-logger must be a function" {:event-logger true})
  (is (= [] (server-threads))))

(deftest argument-help
  (testing "shows the options that are documented"
    (doseq [[function path] {#'server/run-server [2 0] #'server/new-worker [0]}]
      (let [{:keys [doc arglists]} (meta function)
            documented (mapcat #(re-seq #":[a-z][^\s,]+" (second %)) (re-seq #"(?m)^    (:[^-]\S*(?:, :\S+)*) +- " doc))]
        (is (< 5 (count documented)))
        (is (= documented (map (comp str keyword) (:keys (get-in (first arglists) path)))) function)))))

(deftest bad-handlers
  (doseq [handler [nil 5 "handler"]]
    (is (thrown-with-msg? IllegalArgumentException #"The handler must be a function"
                          (server/run-server handler {:port 0})))))

(deftest options-that-are-no-map
  (doseq [options [[:port 0] [0] [false] [[[:port 0]]] ['(:port 0)]]]
    (is (thrown-with-msg? IllegalArgumentException #"^The options must be a map, got [^\n]+$"
                          (apply server/run-server (fn [_]) options))))
  (is (= [] (server-threads))))

(deftest nil-means-the-default
  (raw/with-server [port (fn [_] {:body "x"}) {:max-headers nil :max-connections nil :backlog nil}]
    (let [headers (fn [n] (into {} (for [i (range n)] [(str "h" i) "x"])))
          status (fn [n] (:status (raw/fetch port "GET" "/" :headers (headers n))))]
      ;; Host is one more.
      (is (= 200 (status 127)))
      (is (= 431 (status 128))))))

(deftest values-that-are-fine
  (are [options] (= :started (refusal options))
    {:port 0.0}
    {:port (short 0)}
    {:ip "localhost"}
    {:server-header ""}
    {:server-header "a\tb"}
    {:dispatch nil :slow-client nil}
    {:worker-pool false}
    {:max-pending nil :ws-ping-interval nil :slow-client :block}
    {:max-pending-total nil}
    {:max-pending-total 5000000000}
    {:max-received-total nil}
    {:max-received-total 5000000000}
    {:max-pending 0 :max-pending-total 0 :ws-ping-interval 0 :slow-client :drop :max-ws 0}
    {:server-header nil}
    {:event-names {:keyword "ignored"}}
    {:legacy-content-length? nil}
    {:ring-async? nil}
    {:ring-async? false}
    {:worker-pool nil}
    {:worker-pool nil :pool-opts nil :in-place-budget nil}
    {:backlog nil :max-connections nil :max-headers nil}
    {:address-finder nil :channel-factory nil :event-names nil :expose-errors? nil}
    {:header-timeout nil :body-timeout 0 :write-timeout nil :keep-alive-timeout 0}
    {:trusted-proxies nil}
    {:trusted-proxies #{"10.0.0.0/8" "::1"}}
    {:error-logger nil :warn-logger nil :event-logger nil}
    {:error-logger false :warn-logger #'prn :event-logger :event}
    {:no-such-option 1}))

(deftest arguments
  (testing "the default address, unless somebody has it"
    (try
      (doseq [start [#(server/run-server (fn [_])) #(server/run-server (fn [_]) nil) #(server/run-server (fn [_]) {})]]
        (let [stop (start)]
          (is (= 8090 (:local-port (meta stop))))
          (stop)))
      (catch BindException e
        (is (string/includes? (.getMessage e) "8090")))))
  (testing "a handler may be a var, and is looked up each time"
    (let [handler (intern *ns* (gensym) (fn [_] {:body "old"}))]
      (raw/with-server [port handler {}]
        (is (= "old" (:body (raw/fetch port "GET" "/"))))
        (alter-var-root handler (constantly (fn [_] {:body "new"})))
        (is (= "new" (:body (raw/fetch port "GET" "/"))))))))

(deftest busy-port
  (with-open [taken (ServerSocket. 0 1 (.getAddress (InetSocketAddress. "127.0.0.1" 0)))]
    (let [port (.getLocalPort taken)
          ^ExecutorService pool (Executors/newSingleThreadExecutor)
          before (count (Thread/getAllStackTraces))]
      (dotimes [_ 5]
        (is (thrown-with-msg? BindException (re-pattern (str port))
                              (server/run-server (fn [_]) {:ip "127.0.0.1" :port port})))
        (is (thrown? BindException (server/run-server (fn [_]) {:ip "127.0.0.1" :port port :worker-pool pool}))))
      (testing "nothing is left behind, and a pool of the user's is still the user's"
        (is (= [] (server-threads)))
        (is (<= (count (Thread/getAllStackTraces)) (+ 4 before)))
        (is (not (.isShutdown pool)))
        (.shutdown pool)))))

(deftest an-address-of-another-machine
  (is (thrown? BindException (server/run-server (fn [_]) {:ip "192.0.2.1" :port 0}))))
