"""What is measured, and the goals of each scenario: data only."""

from __future__ import annotations

from dataclasses import dataclass

from peers import HTTP_KIT, HTTP_KIT_PEERS, HYPER, HYPER_PEER, OURS, Peer

IN_PLACE = Peer(OURS, "in place", "{:dispatch :in-place}")
POOL_OF_FOUR = Peer(OURS, "pool of 4", "{:dispatch :pool :thread 4 :allow-virtual? false}")
DEFAULT = Peer(OURS)


@dataclass(frozen=True)
class Goal:
    """Our figure may be at most (or must be at least) `limit` times that of `family`'s best
    configuration, or `limit` itself when no family is named."""

    figure: str
    limit: float
    family: str | None = None
    at_least: bool = False

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class LoadScenario:
    """Servers loaded by wrk in alternating rounds. `shape` names the request in load.lua."""

    name: str
    title: str
    peers: tuple[Peer, ...]
    goals: tuple[Goal, ...]
    handler: str = "plain"
    shape: str = "plain"
    connections: int = 64


@dataclass(frozen=True)
class MemoryScenario:
    """Servers that hold connections; `measure` names the function in memory.py."""

    name: str
    title: str
    peers: tuple[Peer, ...]
    goals: tuple[Goal, ...]
    measure: str


def _at_most(figure: str, limit: float, family: str | None = None) -> Goal:
    return Goal(figure, limit, family)


def _at_least(figure: str, limit: float, family: str) -> Goal:
    return Goal(figure, limit, family, at_least=True)


EVERYBODY = (IN_PLACE, HYPER_PEER, *HTTP_KIT_PEERS)
# Bare hyper only answers a constant: it has no part in the scenarios about bodies.
JVM_SERVERS = (DEFAULT, *HTTP_KIT_PEERS)

SCENARIOS: tuple[LoadScenario | MemoryScenario, ...] = (
    LoadScenario(
        "plain", "Plain GET, 64 connections", EVERYBODY,
        (_at_most("cpu", 1.0, HYPER), _at_most("cpu", 0.68, HTTP_KIT))),
    LoadScenario(
        "browser", "GET with the 15 headers of a browser, 64 connections", EVERYBODY,
        (_at_most("cpu", 0.82, HYPER), _at_most("cpu", 0.36, HTTP_KIT)), shape="browser"),
    LoadScenario(
        "pipelined", "Plain GET pipelined x16, 64 connections", EVERYBODY,
        (_at_least("requests", 1.2, HYPER),), shape="pipelined"),
    LoadScenario(
        "pool4", "Plain GET through a pool of 4 threads, 64 connections",
        (POOL_OF_FOUR, HTTP_KIT_PEERS[1]), (_at_most("cpu", 0.95, HTTP_KIT),)),
    LoadScenario(
        "stream", "InputStream of 1 MiB, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.5, HTTP_KIT),), handler="stream", connections=32),
    LoadScenario(
        "file", "File of 1 MiB, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.3, HTTP_KIT),), handler="file", connections=32),
    LoadScenario(
        "upload", "POST of 64 KiB that the handler reads, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.5, HTTP_KIT),), handler="upload", shape="upload",
        connections=32),
    MemoryScenario(
        "idle", "Memory of 8000 idle keep-alive connections, each served one request",
        (DEFAULT, HYPER_PEER, *HTTP_KIT_PEERS), (_at_most("kilobytes", 1.2),), "idle"),
    MemoryScenario(
        "declared", "Memory under 500 requests that declare 8 MB and send 50 bytes",
        JVM_SERVERS, (_at_most("mebibytes", 32),), "declared"),
)
