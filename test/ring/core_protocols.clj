(ns ring.core-protocols
  "Ring's own ring.core.protocols for tests, from Debian's package if the class path has none."
  (:require [clojure.java.io :as io]
            [httpkit-rs.skip :refer [skip]]
            [org.httpkit.engine.ring :as ring])
  (:import (clojure.lang Compiler DynamicClassLoader)))

(def ^:private jar (io/file "/usr/share/java/ring-core.jar"))

(def available?
  "Whether ring.core.protocols is loaded now."
  (or (ring/loadable? 'ring.core.protocols)
      (and (.exists jar)
           (with-bindings {Compiler/LOADER (doto (DynamicClassLoader. (.getContextClassLoader (Thread/currentThread)))
                                             (.addURL (.toURL (.toURI jar))))}
             (require 'ring.core.protocols)
             true))))

(defmacro with-ring-or-skip
  "Runs the body, or reports the test as skipped."
  [& body]
  `(if available? (do ~@body) (skip "Ring is not installed")))

(defn- protocol [] @(resolve 'ring.core.protocols/StreamableResponseBody))

(defn extend-body
  "Extends StreamableResponseBody to the class by `write`, a function of body, response and stream. Returns a function that undoes
  it."
  [body-class write]
  (let [before (get-in (protocol) [:impls body-class])
        protocol-var (:var (protocol))]
    (extend body-class (protocol) {:write-body-to-stream write})
    (fn []
      (if before
        (extend body-class (protocol) before)
        (do (alter-var-root protocol-var update :impls dissoc body-class)
            (-reset-methods (protocol)))))))

(defmacro with-extension
  "Runs the body while StreamableResponseBody is extended to the class by `write`."
  [[body-class write] & body]
  `(let [undo# (extend-body ~body-class ~write)]
     (try ~@body (finally (undo#)))))
