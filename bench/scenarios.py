"""What is measured, and the goals of each scenario: data only."""

from __future__ import annotations

from dataclasses import dataclass

from peers import (HTTP_KIT, HTTP_KIT_PEERS, HYPER, HYPER_PEER, JETTY, JVM_PEERS, NETTY, OURS,
                   RING_JETTY, TOKIO, TOKIO_PEER, UNDERTOW, Peer)

DEFAULT = Peer(OURS)
RING_JETTY_PEER = Peer(RING_JETTY)
# The same server through its other interfaces.
RING_ADAPTER = Peer(OURS, "ring adapter", main="serve-ring")
RING_WEBSOCKET = Peer(OURS, "ring.websocket", handler="ring-websocket")
IMMUTANT_WEBSOCKET = Peer(OURS, "immutant", handler="immutant-websocket", main="serve-immutant")
IMMUTANT_STREAM = Peer(OURS, "immutant", handler="immutant-stream", main="serve-immutant")
IN_PLACE = Peer(OURS, "in place", "{:dispatch :in-place}")
POOL = Peer(OURS, "pool", "{:dispatch :pool}")
POOL_OF_FOUR = Peer(OURS, "pool of 4", "{:dispatch :pool :thread 4 :allow-virtual? false}")


@dataclass(frozen=True)
class Goal:
    """The figure of our configuration `ours` may be at most (or must be at least) `limit` times
    that of `family`'s best configuration or of `other`, or `limit` itself when none is named."""

    figure: str
    limit: float
    family: str | None = None
    at_least: bool = False
    ours: Peer = DEFAULT
    other: Peer | None = None

    @property
    def against(self) -> str:
        return self.other.name if self.other else self.family or ""

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class LoadScenario:
    """Servers loaded by wrk in alternating rounds. `shape` names the request in load.lua,
    `handler` the namespace in servers/; servers with routes of their own go by `path`."""

    name: str
    title: str
    peers: tuple[Peer, ...]
    goals: tuple[Goal, ...]
    handler: str = "plain"
    shape: str = "plain"
    connections: int = 64
    path: str = "/"


@dataclass(frozen=True)
class MixedScenario(LoadScenario):
    """A load scenario with a second load beside it, on a route that blocks its thread."""

    handler: str = "mixed"
    slow_path: str = "/slow"
    slow_connections: int = 32


@dataclass(frozen=True)
class WebSocketScenario(LoadScenario):
    """Servers loaded by bench-ws-load in its `mode`, with texts of so many bytes."""

    handler: str = "websocket"
    path: str = "/echo"
    mode: str = "echo"
    payload_bytes: int = 64


@dataclass(frozen=True)
class ProcessScenario:
    """Servers measured one after the other; `measure` names the function that run.py calls."""

    name: str
    title: str
    peers: tuple[Peer, ...]
    goals: tuple[Goal, ...]
    measure: str


def _at_most(figure: str, limit: float, family: str | None = None, ours: Peer = DEFAULT) -> Goal:
    return Goal(figure, limit, family, ours=ours)


def _at_least(figure: str, limit: float, family: str | None = None, ours: Peer = DEFAULT) -> Goal:
    return Goal(figure, limit, family, at_least=True, ours=ours)


def _within(figure: str, limit: float, ours: Peer) -> Goal:
    """One of our interfaces against as-channel and run-server."""
    return Goal(figure, limit, ours=ours, other=DEFAULT)


def _ahead_in_cpu(*families: str) -> tuple[Goal, ...]:
    return tuple(_at_most("cpu", 1.0, family) for family in families)


def _ahead_in_requests(*families: str) -> tuple[Goal, ...]:
    return tuple(_at_least("requests", 1.0, family) for family in families)


JVM_FAMILIES = (JETTY, UNDERTOW, NETTY, RING_JETTY)
OTHERS = (HYPER_PEER, *HTTP_KIT_PEERS, *JVM_PEERS)
# Bare hyper only answers a constant: it has no part in the scenarios about bodies.
JVM_SERVERS = (DEFAULT, *HTTP_KIT_PEERS, *JVM_PEERS)
WEBSOCKET_SERVERS = (DEFAULT, TOKIO_PEER, *HTTP_KIT_PEERS)

SCENARIOS: tuple[LoadScenario | ProcessScenario, ...] = (
    LoadScenario(
        "plain", "Plain GET, 64 connections", (DEFAULT, IN_PLACE, *OTHERS),
        (_at_least("requests", 1.35, HTTP_KIT), _at_most("cpu", 0.70, HTTP_KIT),
         _at_most("cpu", 1.05, HYPER), _at_most("cpu", 0.68, HTTP_KIT, IN_PLACE),
         _at_most("cpu", 1.0, HYPER, IN_PLACE), *_ahead_in_cpu(*JVM_FAMILIES))),
    LoadScenario(
        "browser", "GET with the 15 headers of a browser, 64 connections",
        (DEFAULT, IN_PLACE, *OTHERS),
        (_at_least("requests", 2.3, HTTP_KIT), _at_most("cpu", 0.36, HTTP_KIT),
         _at_most("cpu", 0.36, HTTP_KIT, IN_PLACE), _at_most("cpu", 0.82, HYPER, IN_PLACE),
         *_ahead_in_cpu(*JVM_FAMILIES)), shape="browser"),
    LoadScenario(
        "pipelined", "Plain GET pipelined x16, 64 connections", (DEFAULT, IN_PLACE, *OTHERS),
        (_at_least("requests", 1.2, HYPER, IN_PLACE), *_ahead_in_requests(*JVM_FAMILIES)),
        shape="pipelined"),
    LoadScenario(
        "json", "JSON of 800 bytes with 6 headers, 64 connections", JVM_SERVERS,
        (_at_most("cpu", 0.45, HTTP_KIT), *_ahead_in_cpu(*JVM_FAMILIES)),
        handler="json", path="/json"),
    LoadScenario(
        "compojure", "JSON by Compojure, ring-defaults and ring-json, 64 connections",
        (DEFAULT, *HTTP_KIT_PEERS, RING_JETTY_PEER), (_at_most("cpu", 0.70, RING_JETTY),),
        handler="guestbook-api", path="/api/entries"),
    LoadScenario(
        "ring-adapter", "Plain GET by run-server and by the Ring adapter, 64 connections",
        (DEFAULT, RING_ADAPTER), (_within("cpu", 1.03, RING_ADAPTER),)),
    LoadScenario(
        "pool4", "Plain GET through a pool of 4 threads, 64 connections",
        (POOL_OF_FOUR, HTTP_KIT_PEERS[1]), (_at_most("cpu", 0.95, HTTP_KIT, POOL_OF_FOUR),)),
    LoadScenario(
        "pool-virtual", "Plain GET on a virtual thread for each request, 64 connections",
        (POOL, HTTP_KIT_PEERS[0]), (_at_most("cpu", 1.0, HTTP_KIT, POOL),)),
    LoadScenario(
        "stream", "InputStream of 1 MiB, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.5, HTTP_KIT), *_ahead_in_requests(*JVM_FAMILIES)),
        handler="stream", connections=32, path="/stream"),
    LoadScenario(
        "send-stream", "1 MiB in sends of 8 KiB, 32 connections",
        (DEFAULT, IMMUTANT_STREAM, *HTTP_KIT_PEERS),
        (_at_least("requests", 1.0, HTTP_KIT), _within("cpu", 1.10, IMMUTANT_STREAM)),
        handler="send-stream", connections=32, path="/stream"),
    LoadScenario(
        "file", "File of 1 MiB, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.3, HTTP_KIT), *_ahead_in_requests(*JVM_FAMILIES)),
        handler="file", connections=32, path="/file"),
    LoadScenario(
        "file-small", "File of 16 KiB, 32 connections", (DEFAULT, *HTTP_KIT_PEERS),
        (_at_least("requests", 1.3, HTTP_KIT),),
        handler="file", connections=32, path="/file/small"),
    LoadScenario(
        "upload", "POST of 64 KiB that the handler reads, 32 connections", JVM_SERVERS,
        (_at_least("requests", 1.5, HTTP_KIT), *_ahead_in_requests(*JVM_FAMILIES)),
        handler="upload", shape="upload", connections=32, path="/upload"),
    MixedScenario(
        "mixed", "64 connections on /, 32 on a route that sleeps 50 ms", JVM_SERVERS,
        (_at_least("requests", 1.5, HTTP_KIT), _at_least("kept", 0.8),
         _at_most("p99", 1.0, HTTP_KIT), _at_least("slow", 0.95 * 32 / 0.05),
         *_ahead_in_requests(*JVM_FAMILIES))),
    WebSocketScenario(
        "ws-echo", "WebSocket echo of 64 bytes, 64 connections", WEBSOCKET_SERVERS,
        (_at_most("message-cpu", 0.70, HTTP_KIT), _at_most("message-cpu", 1.15, TOKIO))),
    WebSocketScenario(
        "ws-echo-16k", "WebSocket echo of 16 KiB of text, 64 connections", WEBSOCKET_SERVERS,
        (_at_most("message-cpu", 0.24, HTTP_KIT), _at_least("messages", 3.5, HTTP_KIT)),
        payload_bytes=16 * 1024),
    WebSocketScenario(
        "ws-echo-layers", "WebSocket echo of 64 bytes by other interfaces, 64 connections",
        (DEFAULT, RING_WEBSOCKET, IMMUTANT_WEBSOCKET),
        (_within("message-cpu", 1.10, RING_WEBSOCKET),
         _within("message-cpu", 1.10, IMMUTANT_WEBSOCKET))),
    WebSocketScenario(
        "ws-broadcast", "128 bytes to each of 5000 WebSockets", WEBSOCKET_SERVERS,
        (_at_most("message-cpu", 0.80, HTTP_KIT), _at_most("last", 0.80, HTTP_KIT)),
        path="/listen", mode="broadcast", connections=5000, payload_bytes=128),
    ProcessScenario(
        "start", "From the start of the process to the first answer",
        (DEFAULT, HYPER_PEER, *HTTP_KIT_PEERS[:1], *JVM_PEERS), (), "start"),
    ProcessScenario(
        "idle", "Memory of 8000 idle keep-alive connections, each served one request",
        (DEFAULT, *OTHERS), (_at_most("kilobytes", 1.2),), "idle"),
    ProcessScenario(
        "ws-idle", "Memory of 8000 idle WebSockets after a message of 64 bytes each",
        WEBSOCKET_SERVERS, (_at_most("kilobytes", 1.4),), "ws-idle"),
    ProcessScenario(
        "ws-idle-16k", "Memory of 8000 idle WebSockets after a message of 16 KiB each",
        WEBSOCKET_SERVERS, (_at_most("kilobytes", 1.4),), "ws-idle-16k"),
    ProcessScenario(
        "declared", "Memory under 500 requests that declare 8 MB and send 50 bytes",
        (DEFAULT, *HTTP_KIT_PEERS), (_at_most("mebibytes", 32),), "declared"),
)
