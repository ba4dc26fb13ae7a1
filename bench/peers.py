"""The servers that are compared: how each is found and with which command it starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import applications
import jvm_peers
from jvm_peers import JETTY, NETTY, RING_JETTY, UNDERTOW

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
CLASS_PATH_CACHE = ROOT / "target" / "bench" / "classpath"
WS_PROGRAMS = BENCH / "ws" / "target" / "release"

OURS = "httpkit-rs"
HYPER = "hyper"
HTTP_KIT = "http-kit"
TOKIO = "tokio"
FAMILIES = (OURS, HYPER, TOKIO, HTTP_KIT, JETTY, UNDERTOW, NETTY, RING_JETTY)


class PeerMissing(Exception):
    """A server that cannot be started on this machine; the message says how to provide it."""


@dataclass(frozen=True)
class Peer:
    """One server in one configuration. `options` is the EDN map given to `run-server`, or the
    argument of a program in jvm-peers. `handler` replaces the scenario's handler namespace, `main`
    the one that starts it: another interface to the same server."""

    family: str
    configuration: str = ""
    options: str = "{}"
    handler: str = ""
    main: str = "serve"

    @property
    def name(self) -> str:
        return f"{self.family} {self.configuration}".strip()


HYPER_PEER = Peer(HYPER)
# A WebSocket server by hand, the floor of what tokio allows.
TOKIO_PEER = Peer(TOKIO)
# On JDK 21 or newer the default is a virtual thread for each request. Which of the two is
# http-kit's best depends on the scenario, so both always run.
HTTP_KIT_PEERS = (
    Peer(HTTP_KIT, "default"),
    Peer(HTTP_KIT, ":thread 4", "{:thread 4 :allow-virtual? false}"),
)
JVM_PEERS = (
    Peer(JETTY, "default", "default"),
    Peer(JETTY, "virtual", "virtual"),
    Peer(JETTY, "non-blocking", "non-blocking"),
    Peer(UNDERTOW),
    Peer(NETTY),
    Peer(RING_JETTY),
)


def _java_version(home: Path) -> tuple[int, ...]:
    try:
        text = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return ()
    version = re.search(r'JAVA_VERSION="([\d.]+)', text)
    return tuple(int(part) for part in version[1].strip(".").split(".")) if version else ()


def java() -> str:
    """JAVA_CMD, else the newest JVM among those installed in the usual places."""
    command = os.environ.get("JAVA_CMD")
    if command:
        return command
    homes = [*Path("/usr/lib/jvm").glob("*"), *Path("/opt").glob("*"),
             *Path.home().glob(".sdkman/candidates/java/*")]
    if os.environ.get("JAVA_HOME"):
        homes.append(Path(os.environ["JAVA_HOME"]))
    homes = [home for home in homes if (home / "bin" / "java").exists()]
    if homes:
        return str(max(homes, key=_java_version) / "bin" / "java")
    found = shutil.which("java")
    if found is None:
        raise PeerMissing("no java found: install a JDK or set JAVA_CMD")
    return found


def jcmd(java_command: str) -> str:
    """The jcmd of the JDK that `java_command` belongs to."""
    path = Path(shutil.which(java_command) or java_command).resolve().parent / "jcmd"
    if not path.exists():
        raise PeerMissing(f"no jcmd beside {java_command}: memory is measured with a whole JDK")
    return str(path)


def our_class_path() -> str:
    """HTTPKIT_RS_CLASSPATH, else what Leiningen says, asked again when project.clj is newer."""
    given = os.environ.get("HTTPKIT_RS_CLASSPATH")
    if given:
        return given
    project = ROOT / "project.clj"
    if not project.exists() or not any((ROOT / "target").glob("native-resources/**/*httpkit_rs*")):
        raise PeerMissing("httpkit-rs is not built: run `make build`")
    if CLASS_PATH_CACHE.exists() and CLASS_PATH_CACHE.stat().st_mtime > project.stat().st_mtime:
        return CLASS_PATH_CACHE.read_text(encoding="utf-8").strip()
    text = subprocess.run(["lein", "with-profile", "-base", "classpath"], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE, timeout=300).stdout.decode()
    CLASS_PATH_CACHE.parent.mkdir(parents=True, exist_ok=True)
    CLASS_PATH_CACHE.write_text(text, encoding="utf-8")
    return text.strip().splitlines()[-1]


def available(family: str) -> bool:
    """http-kit and ring-jetty-adapter take part only when somebody gives their class path."""
    if family == HTTP_KIT:
        return bool(os.environ.get("HTTPKIT_CLASSPATH"))
    return jvm_peers.available(family)


def prepare(families: set[str], with_websockets: bool) -> None:
    """Says what is missing before anything is measured; builds bench/hyper, bench/ws and
    jvm-peers."""
    if OURS in families:
        our_class_path()
    if HYPER in families:
        _build("hyper")
    if with_websockets:
        _build("ws")
    if families & set(jvm_peers.MAIN_CLASSES):
        _build_jvm_peers()


def _build_jvm_peers() -> None:
    try:
        jvm_peers.class_path()
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(f"bench/jvm-peers cannot be built: {error}") from error


def _build(crate: str) -> None:
    # cargo does nothing when the program is up to date.
    try:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--locked"],
                       cwd=BENCH / crate, check=True, timeout=900)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerMissing(f"bench/{crate} cannot be built: {error}") from error


def command(peer: Peer, handler: str, java_options: tuple[str, ...] = ()) -> list[str]:
    """The command that starts `peer` with the handler namespace `handler`, or its own."""
    handler = peer.handler or handler
    if peer.family == HYPER:
        return [str(BENCH / "hyper" / "target" / "release" / "bench-hyper"), "0"]
    if peer.family == TOKIO:
        return [str(WS_PROGRAMS / "bench-ws-floor"), "0"]
    if peer.family in jvm_peers.FAMILIES:
        return jvm_peers.command(java(), peer.family, handler, peer.options, java_options)
    class_path = our_class_path() if peer.family == OURS else os.environ["HTTPKIT_CLASSPATH"]
    paths = (class_path, str(BENCH / "servers"), *applications.class_path(handler))
    return [java(), *java_options, "-cp", os.pathsep.join(paths),
            "clojure.main", "-m", peer.main, handler, peer.options]
