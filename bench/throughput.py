"""Load scenarios: all servers alive at once, loaded in turn, the median of the rounds kept.

Alternating spreads whatever else the machine does over all of them alike.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from dataclasses import dataclass, fields

import peers
from check import check_answer
from load import Sample, drive
from mixed import drive_mixed
from process import Server, raise_file_limit, started
from quiet import wait_until_quiet
from scenarios import LoadScenario, MixedScenario, WebSocketScenario
from websocket import drive_websocket

ATTEMPTS = 3
SPARE_FILES = 500


@dataclass(frozen=True)
class Rounds:
    """How long a scenario runs. The warm-up is long enough for the JIT to reach its last tier;
    each round waits for a quiet machine until patience ends."""

    count: int = 5
    seconds: float = 5
    warm_up_seconds: float = 10
    patience_seconds: float = 30


def median(samples: list[Sample]) -> Sample:
    """The median of each known figure by itself, over the undisturbed rounds if there are any;
    errors add up, the worst disturbance counts."""
    used = [sample for sample in samples if not sample.is_disturbed] or samples
    figures = {}
    kind = type(samples[0])
    for field in fields(kind):
        known = [value for sample in used if (value := getattr(sample, field.name))]
        figures[field.name] = statistics.median(known) if known else 0
    figures["errors"] = sum(sample.errors for sample in samples)
    figures["foreign"] = max(sample.foreign for sample in used)
    return kind(**figures)


def _drive(server: Server, scenario: LoadScenario, seconds: float) -> Sample:
    if isinstance(scenario, MixedScenario):
        return drive_mixed(server, scenario, seconds)
    if isinstance(scenario, WebSocketScenario):
        return drive_websocket(server, scenario, seconds)
    return drive(server, scenario.shape, scenario.connections, seconds, scenario.path)


def _undisturbed(server: Server, scenario: LoadScenario, rounds: Rounds) -> Sample:
    """The first sample without much other work beside it, else the least disturbed of a few.

    Beside a compiler the same request costs the server up to 40 % less processor time, since
    threads that wait for a core find more work when they get it: such samples compare nothing.
    """
    samples = []
    for _ in range(ATTEMPTS):
        wait_until_quiet(rounds.patience_seconds)
        samples.append(_drive(server, scenario, rounds.seconds))
        if not samples[-1].is_disturbed:
            break
    return min(samples, key=lambda sample: sample.foreign)


def run(scenario: LoadScenario, contestants: list[peers.Peer], rounds: Rounds,
        java_options: tuple[str, ...]) -> dict[peers.Peer, Sample]:
    """Measures every contestant; the order turns by one each round."""
    samples: dict[peers.Peer, list[Sample]] = {peer: [] for peer in contestants}
    raise_file_limit(scenario.connections + SPARE_FILES)
    with contextlib.ExitStack() as stack:
        servers = {
            peer: stack.enter_context(
                started(peers.command(peer, scenario.handler, java_options)))
            for peer in contestants}
        for peer, server in servers.items():
            if not isinstance(scenario, WebSocketScenario):  # Its client compares every byte.
                check_answer(server, scenario.path)
            _drive(server, scenario, rounds.warm_up_seconds)
        for number in range(rounds.count):
            turn = number % len(contestants)
            for peer in contestants[turn:] + contestants[:turn]:
                sample = _undisturbed(servers[peer], scenario, rounds)
                samples[peer].append(sample)
                print(f"  round {number + 1} {peer.name}: {sample.requests_per_second:,.0f}/s, "
                      f"p99 {sample.p99_millis:.2f} ms, {sample.cpu_micros:.2f} µs, "
                      f"foreign {sample.foreign:.0%}", file=sys.stderr, flush=True)
    return {peer: median(list_of) for peer, list_of in samples.items()}
