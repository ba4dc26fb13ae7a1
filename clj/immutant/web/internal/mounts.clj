(ns immutant.web.internal.mounts
  "Which handler of a server a request is for: by virtual host, then by the longest prefix of its path.

  Mounts are an immutable map {host {path mount}}; the host of those without one is nil. Paths have no slash at their end, so
  the root is \"\"."
  (:require [clojure.string :as string]
            [immutant.web.internal.options :as options])
  (:import (java.util Locale)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- normal-path [path]
  (when-not (string? path)
    (options/refuse :path "a string such as \"/admin\"" path))
  (let [path (string/replace path #"/+$" "")]
    (if (or (= "" path) (string/starts-with? path "/"))
      path
      (str "/" path))))

(defn- normal-host [^String host]
  (.toLowerCase host Locale/ROOT))

(defn- hosts [virtual-host]
  (cond
    (nil? virtual-host) [nil]
    (string? virtual-host) [(normal-host virtual-host)]
    (and (coll? virtual-host) (seq virtual-host) (every? string? virtual-host)) (map normal-host virtual-host)
    (and (instance? java.util.Collection virtual-host) (not (coll? virtual-host))) (recur (vec virtual-host))
    :else (options/refuse :virtual-host "a host name or a collection of host names" virtual-host)))

(defn keys-of
  "Returns the [host path] pairs that the options :virtual-host and :path name."
  [{:keys [virtual-host path]}]
  (for [host (hosts virtual-host)]
    [host (normal-path path)]))

(defn add
  "Returns the mounts with one more for each pair, in place of what was there."
  [mounts pairs mount]
  (reduce #(assoc-in %1 %2 mount) mounts pairs))

(defn remove-all
  "Returns the mounts without those at the pairs."
  [mounts pairs]
  (reduce (fn [mounts [host path]]
            (let [left (dissoc (get mounts host) path)]
              (if (seq left)
                (assoc mounts host left)
                (dissoc mounts host))))
          mounts pairs))

(defn- longest-prefix
  "Returns the [path mount] whose path is the longest that the URI continues with a slash, or equals. nil if there is none."
  [by-path ^String uri]
  (loop [end (count uri)]
    (let [prefix (subs uri 0 end)]
      (if-let [found (find by-path prefix)]
        found
        (when (pos? end)
          (recur (max 0 (.lastIndexOf uri "/" (int (dec end))))))))))

(defn find-mount
  "Returns the [path mount] for the request, or nil. A host that has mounts of its own has no others."
  [mounts {:keys [server-name uri]}]
  (when-let [by-path (or (get mounts (some-> server-name normal-host))
                         (get mounts nil))]
    (longest-prefix by-path uri)))
