(ns immutant.web.internal.mounts
  "Which handler of a server a request is for: by virtual host, then by the longest prefix of its path.

  Mounts are an immutable map {host {path mount}}; the host of those without one is nil. Paths are written without
  percent-encoding and have no slash at their end, so the root is \"\"."
  (:require [clojure.string :as string]
            [org.httpkit.engine.check :as check])
  (:import (java.net URLDecoder)
           (java.nio.charset StandardCharsets)
           (java.util Locale)))

(set! *warn-on-reflection* true)
(set! *unchecked-math* :warn-on-boxed)

(defn- normal-path [path]
  (when-not (string? path)
    (check/refuse :path "a string such as \"/admin\"" path))
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
    :else (check/refuse :virtual-host "a host name or a collection of host names" virtual-host)))

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

(defn put-back
  "Returns the mounts with what was at the pairs before, nothing if nothing was."
  [mounts pairs before]
  (reduce (fn [mounts pair]
            (if-let [mount (get-in before pair)]
              (add mounts [pair] mount)
              (remove-all mounts [pair])))
          mounts pairs))

(def ^:private kept-encodings
  "What a URLDecoder, which is for forms, is to leave as it is; an encoded slash because it ends no segment of the path."
  {"+" "%2B", "%2F" "%252F", "%2f" "%252f"})

(defn- decoded
  "Returns the URI without percent-encoding, as mounts write paths, but for slashes. As it is if its encoding is malformed."
  ^String [^String uri]
  (if (neg? (.indexOf uri "%"))
    uri
    (try
      (URLDecoder/decode ^String (string/replace uri #"\+|%2[Ff]" kept-encodings) StandardCharsets/UTF_8)
      (catch IllegalArgumentException _ uri))))

(defn- longest-prefix
  "Returns the [path mount] whose path is the longest that `decoded` continues with a slash, or equals. nil if there is none."
  [by-path ^String decoded]
  (loop [end (count decoded)]
    (let [prefix (subs decoded 0 end)]
      (if-let [found (find by-path prefix)]
        found
        (when (pos? end)
          (recur (max 0 (.lastIndexOf decoded "/" (int (dec end))))))))))

(defn- prefix-length
  "Returns how much of the URI was decoded to the path: it has as many slashes."
  [^String uri path]
  (loop [end (long (.indexOf uri "/"))
         slashes (count (filter #{\/} path))]
    (cond
      (neg? end) (count uri)
      (zero? slashes) end
      :else (recur (long (.indexOf uri "/" (int (inc end)))) (dec slashes)))))

(defn find-mount
  "Returns the [path mount length] for the request, or nil; the first `length` characters of its URI are the path. A host that has
  mounts of its own has no others."
  [mounts {:keys [server-name ^String uri]}]
  (when-let [by-path (or (get mounts (some-> server-name normal-host))
                         (get mounts nil))]
    (let [decoded (decoded uri)]
      (when-let [[path mount] (longest-prefix by-path decoded)]
        [path mount (if (identical? decoded uri)
                      (count path)
                      (prefix-length uri path))]))))
