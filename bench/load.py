"""One run of wrk against one server, with what it cost the server."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from process import TICKS_PER_SECOND, Server, ServerFailed

SCRIPT = Path(__file__).with_name("load.lua")
CORES = os.cpu_count() or 1
DISTURBED_SHARE = 0.1


@dataclass(frozen=True)
class Sample:
    """What one run measured. A percentile of 0 is unknown. `foreign` is the share of all
    processor time that belonged neither to the server nor to wrk: with a large one the run
    was disturbed."""

    requests_per_second: float
    p50_millis: float
    p99_millis: float
    cpu_micros: float
    user_micros: float
    errors: int
    foreign: float

    @property
    def is_disturbed(self) -> bool:
        return self.foreign > DISTURBED_SHARE


def machine_busy_seconds() -> float:
    """Processor seconds that all cores have spent on anything since the machine started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, interrupt, soft_interrupt, stolen = map(
            int, file.readline().split()[1:9])
    # Stolen: the hypervisor gave the time to another machine.
    return (user + nice + system + interrupt + soft_interrupt + stolen) / TICKS_PER_SECOND


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def wrk(port: int, path: str, shape: str, connections: int, seconds: float) -> dict:
    """Runs wrk and returns the figures that load.lua prints as the last line."""
    command = ["wrk", f"-t{min(CORES, connections)}", f"-c{connections}", f"-d{seconds:g}s",
               "-s", str(SCRIPT), f"http://127.0.0.1:{port}{path}", "--", shape]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        text, _ = process.communicate(timeout=seconds + 30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    try:
        return json.loads(text.decode().splitlines()[-1])
    except (IndexError, ValueError):
        raise ServerFailed(f"{' '.join(command)} printed no figures:\n{text.decode()}") from None


def drive(server: Server, shape: str, connections: int, seconds: float,
          path: str = "/") -> Sample:
    """Loads the server for some seconds."""
    server.check()
    began, busy, clients, cpu = (
        time.monotonic(), machine_busy_seconds(), _children_seconds(), server.cpu())
    figures = wrk(server.port, path, shape, connections, seconds)
    spent = server.cpu().since(cpu)
    elapsed = time.monotonic() - began
    foreign = (machine_busy_seconds() - busy) - (_children_seconds() - clients) - spent.total
    server.check()
    completed = figures["requests"]
    if completed == 0:
        raise ServerFailed(f"no request was answered: {figures['errors']}\n{server.log_tail()}")
    return Sample(
        requests_per_second=completed / (figures["duration_micros"] / 1e6),
        p50_millis=figures["p50_micros"] / 1e3,
        p99_millis=figures["p99_micros"] / 1e3,
        cpu_micros=spent.total / completed * 1e6,
        user_micros=spent.user / completed * 1e6,
        errors=sum(figures["errors"].values()),
        foreign=max(0.0, foreign / (elapsed * CORES)))
