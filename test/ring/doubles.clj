(ns ring.doubles
  "Loads ring.websocket and its protocols: Ring's own where they are on the class path, else the doubles of test/ring_doubles.

  Must be required before them. That directory is on no other class path, so that a double never hides the real thing."
  (:require [clojure.java.io :as io]
            [org.httpkit.engine.ring :as ring])
  (:import (clojure.lang Compiler DynamicClassLoader)))

(when-not (ring/loadable? 'ring.websocket)
  (with-bindings {Compiler/LOADER (doto (DynamicClassLoader. (.getContextClassLoader (Thread/currentThread)))
                                    (.addURL (.toURL (.toURI (io/file "test/ring_doubles/")))))}
    (require 'ring.websocket)))
