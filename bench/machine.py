"""The conditions of a run, for the head of its report: machine, versions, load."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import jvm_peers
import peers


def _output(*command: str) -> str:
    """Standard output and error of a command that only reports; blank when it is missing."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=30, cwd=peers.ROOT).stdout.decode(errors="replace").strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    memory = Path("/proc/meminfo").read_text(encoding="utf-8")
    gibibytes = int(_first(r"^MemTotal:\s+(\d+)", memory)) / 2**20
    model = _first(r"^model name\s*:(.*)", text)
    # With BBR a long answer on loopback takes three times as long as with CUBIC.
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="utf-8")
    return (f"{model}, {os.cpu_count()} cores, {gibibytes:.0f} GiB, "
            f"Linux {platform.release()}, TCP {congestion.strip()}")


def _commit() -> str:
    commit = _output("git", "rev-parse", "--short", "HEAD")
    if not re.fullmatch(r"[0-9a-f]+", commit):
        return "no commit"
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return f"{commit} with changes" if changed else commit


def _http_kit_version() -> str:
    """HTTPKIT_VERSION, else the version in the jar's name."""
    given = os.environ.get("HTTPKIT_VERSION")
    return given or _first(r"http-kit-([\w.-]+)\.jar", os.environ.get("HTTPKIT_CLASSPATH", ""))


def _clojure_version(class_path: str) -> str:
    return _first(r"clojure-(\d[\w.-]*)\.jar", class_path)


def _locked(program: str, crate: str) -> str:
    """The crate with its version in the lock file of bench/PROGRAM."""
    lock = (peers.BENCH / program / "Cargo.lock").read_text(encoding="utf-8")
    return crate + " " + _first(rf'name = "{crate}"\nversion = "(.*)"', lock)


def versions(families: set[str]) -> str:
    """The versions that matter for the servers that take part."""
    parts = []
    if peers.OURS in families:
        parts.append(f"httpkit-rs {_commit()} "
                     f"(Clojure {_clojure_version(peers.our_class_path())})")
    if peers.HYPER in families:
        parts += [_locked("hyper", "hyper"), _locked("hyper", "tokio")]
    if peers.TOKIO in families:
        parts.append("floor on " + _locked("ws", "tokio"))
    if families & {peers.HYPER, peers.TOKIO}:
        parts.append(_first(r"^(rustc \S+)", _output("rustc", "--version")))
    if peers.HTTP_KIT in families:
        parts.append(f"http-kit {_http_kit_version()} "
                     f"(Clojure {_clojure_version(os.environ['HTTPKIT_CLASSPATH'])})")
    parts += [jvm_peers.version(family) for family in jvm_peers.FAMILIES if family in families]
    if families - {peers.HYPER, peers.TOKIO}:
        parts.append(_output(peers.java(), "-version").splitlines()[-1])
    parts.append(_first(r"^(wrk \S+ \S+)", _output("wrk", "-v")))
    return ", ".join(parts)


def load_average() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def check_tools() -> None:
    """Names what is missing before anything starts."""
    if not Path("/proc/self/stat").exists():
        raise peers.PeerMissing("the benchmark reads /proc and needs Linux")
    if shutil.which("wrk") is None:
        raise peers.PeerMissing("wrk is missing: on Debian or Ubuntu `apt-get install wrk`")
