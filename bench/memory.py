"""Memory scenarios: how much a server grows with the connections it holds."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Iterator

import peers
from load import drive
from process import Server, ServerFailed, raise_file_limit, started

IDLE_CONNECTIONS = 8000
IDLE_HEAP_MEBIBYTES = 256
DECLARED_CONNECTIONS = 500
DECLARED_BYTES = 8_000_000
SENT_BYTES = 50
# Client addresses 127.0.0.2 and up: one alone would soon run out of ports.
SOURCE_ADDRESSES = 8
# Code is compiled and thread buffers exist before the first reading: growth is the connections'.
WARM_UP_SECONDS = 5
SETTLE_SECONDS = 15
PROBE_SECONDS = 5


# A heap of fixed size, touched at the start with the collector's own tables, so that neither
# growth of the heap nor of card tables counts as the connections' native memory. The second
# compiler stays out: what it takes and gives back is several MB, more than the connections.
def idle_java_options(heap_mebibytes: int) -> tuple[str, ...]:
    return (f"-Xms{heap_mebibytes}m", f"-Xmx{heap_mebibytes}m", "-XX:+AlwaysPreTouch",
            "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class IdleMemory:
    """Bytes that each idle connection costs, and how many the server had kept open."""

    native_bytes: float
    heap_bytes: float
    kept: int


@dataclass(frozen=True)
class DeclaredMemory:
    """Growth of the process under bodies that never arrive, and how long a GET then takes
    (None: no answer)."""

    resident_bytes: int
    answered_early: int
    probe_millis: float | None


@dataclass(frozen=True)
class Reading:
    native: int
    heap: int


def _jcmd(server: Server, *words: str) -> str:
    tool = peers.jcmd(peers.java())
    return subprocess.run([tool, str(server.pid), *words], check=True, timeout=60,
                          stdout=subprocess.PIPE).stdout.decode()


def read_live(server: Server, is_jvm: bool) -> Reading:
    """Live memory: garbage is collected first, and free native memory given back."""
    if not is_jvm:
        return Reading(server.resident_bytes(), 0)
    for _ in range(2):
        _jcmd(server, "GC.run")
    # Memory of finished JIT compilations; a JVM too old for the command says so and goes on.
    _jcmd(server, "System.trim_native_heap")
    text = _jcmd(server, "GC.heap_info")
    heap = re.search(r"used (\d+)K \[0x([0-9a-f]+), 0x([0-9a-f]+)\)", text)
    if heap is None:
        raise ServerFailed(f"GC.heap_info names no heap range (is it G1?):\n{text}")
    outside = server.resident_bytes_outside(int(heap[2], 16), int(heap[3], 16))
    return Reading(outside, int(heap[1]) * 1024)


def _connect(port: int, number: int) -> socket.socket:
    source = f"127.0.0.{2 + number % SOURCE_ADDRESSES}"
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def _get(connection: socket.socket) -> None:
    """One request, and its answer up to the known body."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while not answer.endswith(b"Hello, World!"):
        piece = connection.recv(4096)
        if not piece:
            raise ServerFailed(f"connection closed after {answer!r}")
        answer += piece


@contextlib.contextmanager
def _closing() -> Iterator[list[socket.socket]]:
    connections: list[socket.socket] = []
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def _readable(connections: list[socket.socket]) -> int:
    """How many have an answer or an end of stream waiting."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN | select.POLLHUP)
    return len(poll.poll(0))


def idle(peer: peers.Peer, java_options: tuple[str, ...]) -> IdleMemory:
    """Opens the connections one by one, serves a request on each and leaves them idle."""
    raise_file_limit(IDLE_CONNECTIONS + 500)
    is_jvm = peer.family != peers.HYPER
    options = idle_java_options(IDLE_HEAP_MEBIBYTES) + java_options
    with started(peers.command(peer, "plain", options)) as server, _closing() as opened:
        drive(server, "plain", 64, WARM_UP_SECONDS)
        before = read_live(server, is_jvm)
        for number in range(IDLE_CONNECTIONS):
            opened.append(_connect(server.port, number))
            _get(opened[-1])
        after = read_live(server, is_jvm)
        kept = len(opened) - _readable(opened)
    return IdleMemory((after.native - before.native) / IDLE_CONNECTIONS,
                      (after.heap - before.heap) / IDLE_CONNECTIONS, kept)


def _settled_resident_bytes(server: Server) -> int:
    """The greatest resident size seen until it has not grown for a second."""
    deadline = time.monotonic() + SETTLE_SECONDS
    greatest, grown = server.resident_bytes(), time.monotonic()
    while time.monotonic() < min(deadline, grown + 1):
        time.sleep(0.1)
        now = server.resident_bytes()
        if now > greatest:
            greatest, grown = now, time.monotonic()
    return greatest


def _probe_millis(port: int) -> float | None:
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS) as connection:
            _get(connection)
    except (OSError, ServerFailed):
        return None
    return (time.monotonic() - began) * 1e3


def declared(peer: peers.Peer, java_options: tuple[str, ...]) -> DeclaredMemory:
    """Sends request heads with a large Content-Length and only the first bytes of the bodies."""
    raise_file_limit(DECLARED_CONNECTIONS + 500)
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {DECLARED_BYTES}\r\n\r\n"
    with started(peers.command(peer, "plain", java_options)) as server, _closing() as opened:
        drive(server, "plain", 64, WARM_UP_SECONDS)
        before = server.resident_bytes()
        try:
            for number in range(DECLARED_CONNECTIONS):
                opened.append(_connect(server.port, number))
                opened[-1].sendall(head.encode() + b"x" * SENT_BYTES)
        except OSError as error:
            print(f"  {peer.name}: after {len(opened)} connections: {error}", file=sys.stderr)
        greatest = _settled_resident_bytes(server)
        return DeclaredMemory(greatest - before, _readable(opened), _probe_millis(server.port))
