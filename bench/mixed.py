"""A quick route loaded by itself, and then together with a slow one."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from load import Sample, drive, wrk
from process import Server
from scenarios import MixedScenario


@dataclass(frozen=True)
class MixedSample(Sample):
    """The figures of the quick route beside the slow one; requests/s of the slow route, and of the
    quick one by itself just before. CPU per request counts quick requests only, which outnumber
    the others by more than a hundred to one."""

    slow_per_second: float
    unmixed_per_second: float

    @property
    def kept(self) -> float:
        """The share of its own requests/s that the quick route keeps beside the slow one."""
        return self.requests_per_second / self.unmixed_per_second


def drive_mixed(server: Server, scenario: MixedScenario, seconds: float) -> MixedSample:
    """Loads the server twice for some seconds."""
    unmixed = drive(server, scenario.shape, scenario.connections, seconds, scenario.path)
    with ThreadPoolExecutor(1) as executor:
        slow = executor.submit(wrk, server.port, scenario.slow_path, "plain",
                               scenario.slow_connections, seconds)
        quick = drive(server, scenario.shape, scenario.connections, seconds, scenario.path)
        figures = slow.result()
    values = dataclasses.asdict(quick)
    values["errors"] += unmixed.errors + sum(figures["errors"].values())
    values["foreign"] = max(quick.foreign, unmixed.foreign)
    return MixedSample(**values, unmixed_per_second=unmixed.requests_per_second,
                       slow_per_second=figures["requests"] / (figures["duration_micros"] / 1e6))
