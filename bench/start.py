"""From the start of a server's process to its first answer."""

from __future__ import annotations

import http.client
import statistics
import time
from dataclasses import dataclass

import peers
from process import ServerFailed, started

STARTS = 5


@dataclass(frozen=True)
class StartTime:
    """Medians, from the start of the process; `cpu_seconds` is what the process had used."""

    listening_seconds: float
    answered_seconds: float
    cpu_seconds: float


def _get(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"no first answer: {error!r}") from error
    finally:
        connection.close()
    if status != 200:
        raise ServerFailed(f"the first answer has status {status}")


def _once(peer: peers.Peer, java_options: tuple[str, ...]) -> StartTime:
    command = peers.command(peer, "plain", java_options)
    began = time.monotonic()
    with started(command) as server:
        listening = time.monotonic() - began
        _get(server.port)
        return StartTime(listening, time.monotonic() - began, server.cpu().total)


def start(peer: peers.Peer, java_options: tuple[str, ...]) -> StartTime:
    """Starts the server several times, one after the other; its files are then in memory."""
    times = [_once(peer, java_options) for _ in range(STARTS)]
    return StartTime(*(statistics.median(getattr(each, name) for each in times) for name in
                       ("listening_seconds", "answered_seconds", "cpu_seconds")))
