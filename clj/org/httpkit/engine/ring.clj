(ns org.httpkit.engine.ring
  "What Ring's own library adds where it is on the class path. This library does not depend on it."
  (:import (org.httpkit.server BodyWriter)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- protocols?
  "Returns true if ring.core.protocols (Ring 1.6 and newer) can be loaded."
  []
  (try
    (require 'ring.core.protocols)
    true
    (catch java.io.FileNotFoundException _ false)))

(defn body-writer
  "Returns the way to ring.core.protocols/StreamableResponseBody, or nil without Ring."
  ^BodyWriter []
  (when (protocols?)
    (let [protocol (resolve 'ring.core.protocols/StreamableResponseBody)
          write (resolve 'ring.core.protocols/write-body-to-stream)
          ^Class interface (:on-interface @protocol)]
      (reify BodyWriter
        (implementedBy [_ body] (.isInstance interface body))
        (accepts [_ body] (some? (find-protocol-impl @protocol body)))
        (write [_ body response stream] (write body response stream))))))
