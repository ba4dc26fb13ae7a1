"""One run of bench-ws-load, the WebSocket client in ws/, against one server."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Iterator

import peers
from load import CORES, Sample, machine_busy_seconds
from process import Server, ServerFailed
from scenarios import WebSocketScenario

CLIENT = peers.WS_PROGRAMS / "bench-ws-load"
# What the client itself waits for an answer, and some more.
PATIENCE_SECONDS = 40


@dataclass(frozen=True)
class WebSocketSample(Sample):
    """Per message instead of per request; for broadcasts a message counts once for each receiver,
    and the percentiles are those of the last receiver. `client` is the share of one core that the
    client, which has one thread, took itself: near 1 it is the client that sets the messages/s."""

    client: float


class LoadClient:
    """The client with its connections open. `opened` holds what it printed then."""

    def __init__(self, port: int, mode: str, path: str, connections: int, payload_bytes: int,
                 log) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [str(CLIENT), mode, str(port), path, str(connections), str(payload_bytes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            self.opened = self._read(2 * PATIENCE_SECONDS)
        except BaseException:
            self.close()
            raise

    def _read(self, seconds: float) -> dict:
        # A line is short and printed at once: when its start is there, so is its end.
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            self._log.seek(0)
            message = self._log.read().decode(errors="replace").strip()
            raise ServerFailed(f"bench-ws-load: {message or 'no answer in time'}")
        return json.loads(line)

    def run(self, seconds: float = 0) -> dict:
        """Loads the server for so long; returns the figures that the client prints."""
        self._process.stdin.write(f"{seconds:g}\n".encode())
        self._process.stdin.flush()
        return self._read(seconds + PATIENCE_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@contextlib.contextmanager
def connected(server: Server, mode: str, path: str, connections: int,
              payload_bytes: int) -> Iterator[LoadClient]:
    """Opens the connections for the length of a `with` block."""
    with tempfile.TemporaryFile() as log:
        client = LoadClient(server.port, mode, path, connections, payload_bytes, log)
        try:
            yield client
        finally:
            client.close()


def drive_websocket(server: Server, scenario: WebSocketScenario, seconds: float) -> WebSocketSample:
    """Loads the server for some seconds; opening the connections is no part of the figures."""
    server.check()
    with connected(server, scenario.mode, scenario.path, scenario.connections,
                   scenario.payload_bytes) as client:
        began, busy, cpu = time.monotonic(), machine_busy_seconds(), server.cpu()
        figures = client.run(seconds)
        spent, elapsed = server.cpu().since(cpu), time.monotonic() - began
        busy = machine_busy_seconds() - busy
    server.check()
    messages, client_seconds = figures["messages"], figures["cpu_micros"] / 1e6
    if messages == 0:
        raise ServerFailed(f"no message came back\n{server.log_tail()}")
    return WebSocketSample(
        requests_per_second=messages / (figures["duration_micros"] / 1e6),
        p50_millis=figures["p50_micros"] / 1e3,
        p99_millis=figures["p99_micros"] / 1e3,
        cpu_micros=spent.total / messages * 1e6,
        user_micros=spent.user / messages * 1e6,
        # The client ends at the first wrong byte.
        errors=0,
        foreign=max(0.0, (busy - client_seconds - spent.total) / (elapsed * CORES)),
        client=client_seconds / elapsed)
