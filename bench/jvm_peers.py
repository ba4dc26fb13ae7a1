"""The servers written in Java (jvm-peers/) and ring-jetty-adapter: their builds and commands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import applications

BENCH = Path(__file__).resolve().parent
PROJECT = BENCH / "jvm-peers"
CLASS_PATH_CACHE = BENCH.parent / "target" / "bench" / "jvm-peers-classpath"

JETTY = "jetty"
UNDERTOW = "undertow"
NETTY = "netty"
RING_JETTY = "ring-jetty"

MAIN_CLASSES = {JETTY: "peers.JettyPeer", UNDERTOW: "peers.UndertowPeer", NETTY: "peers.NettyPeer"}
FAMILIES = (*MAIN_CLASSES, RING_JETTY)
ARTIFACTS = {JETTY: "jetty-server", UNDERTOW: "undertow-core", NETTY: "netty-codec-http"}
# What Netty asks of JDK 24 and newer, so that it keeps its own way to direct memory.
JAVA_OPTIONS = ("-XX:+IgnoreUnrecognizedVMOptions", "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow")


def available(family: str) -> bool:
    """ring-jetty-adapter takes part only when somebody gives its class path."""
    return family != RING_JETTY or bool(os.environ.get("RING_JETTY_CLASSPATH"))


def _newest_source() -> float:
    sources = [PROJECT / "project.clj", *PROJECT.glob("src/**/*.java")]
    return max(path.stat().st_mtime for path in sources)


def class_path() -> str:
    """Compiles the servers when a source is newer than at the last time. Leiningen fetches what
    they depend on from Maven Central."""
    if CLASS_PATH_CACHE.exists() and CLASS_PATH_CACHE.stat().st_mtime > _newest_source():
        return CLASS_PATH_CACHE.read_text(encoding="utf-8")
    text = subprocess.run(["lein", "with-profile", "-base", "do", "javac,", "classpath"],
                          cwd=PROJECT, check=True, stdout=subprocess.PIPE,
                          timeout=600).stdout.decode().strip().splitlines()[-1]
    CLASS_PATH_CACHE.parent.mkdir(parents=True, exist_ok=True)
    CLASS_PATH_CACHE.write_text(text, encoding="utf-8")
    return text


def command(java: str, family: str, handler: str, configuration: str,
            java_options: tuple[str, ...]) -> list[str]:
    """The command that starts a server. Those of Java answer every route; `configuration` is
    their argument, for ring-jetty-adapter an EDN map of options."""
    if family == RING_JETTY:
        paths = (os.environ["RING_JETTY_CLASSPATH"], str(BENCH / "servers"),
                 *applications.class_path(handler))
        return [java, *java_options, "-cp", os.pathsep.join(paths), "clojure.main",
                "-m", "serve-ring-jetty", handler, configuration]
    return [java, *JAVA_OPTIONS, *java_options, "-cp", class_path(), MAIN_CLASSES[family],
            configuration]


def version(family: str) -> str:
    """For the head of a report."""
    if family == RING_JETTY:
        path = os.environ["RING_JETTY_CLASSPATH"]
        found = re.search(r"ring-jetty-adapter-([\w.-]+)\.jar", path)
        server = re.search(r"jetty9?-server-([\w.-]+)\.jar", path)
        clojure = re.search(r"/clojure-(\d[\w.-]*)\.jar", path)
        return (f"ring-jetty-adapter {found[1] if found else 'unknown'} "
                f"(Jetty {server[1] if server else 'unknown'}, "
                f"Clojure {clojure[1] if clojure else 'unknown'})")
    text = (PROJECT / "project.clj").read_text(encoding="utf-8")
    found = re.search(rf'/{ARTIFACTS[family]} "([^"]+)"', text)
    return f"{family} {found[1]}"
