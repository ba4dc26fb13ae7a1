"""Results as Markdown: the goals first, then a table for each scenario."""

from __future__ import annotations

from typing import Callable

import peers
from load import Sample
from memory import DeclaredMemory, IdleMemory
from scenarios import Goal, LoadScenario, MixedScenario, ProcessScenario, WebSocketScenario
from start import StartTime

Result = Sample | IdleMemory | DeclaredMemory | StartTime
Results = dict[peers.Peer, Result]
Scenario = LoadScenario | ProcessScenario

# A figure: its value in a result, whether more is better, and its name.
FIGURES: dict[str, tuple[Callable[[Result], float], bool, str]] = {
    "cpu": (lambda result: result.cpu_micros, False, "CPU per request"),
    "requests": (lambda result: result.requests_per_second, True, "requests/s"),
    "message-cpu": (lambda result: result.cpu_micros, False, "CPU per message"),
    "messages": (lambda result: result.requests_per_second, True, "messages/s"),
    "last": (lambda result: result.p50_millis, False, "time until the last has it, p50"),
    "p99": (lambda result: result.p99_millis, False, "p99"),
    "kept": (lambda result: result.kept, True, "share of its unmixed requests/s"),
    "slow": (lambda result: result.slow_per_second, True, "slow requests/s"),
    "kilobytes": (lambda result: (result.native_bytes + result.heap_bytes) / 1e3, False,
                  "kB per connection"),
    "mebibytes": (lambda result: result.resident_bytes / 2**20, False, "MiB of growth"),
}


def best(results: Results, family: str, figure: str) -> float | None:
    """The family's best configuration by that figure; None when it took no part."""
    value, more_is_better, _ = FIGURES[figure]
    values = [value(result) for peer, result in results.items() if peer.family == family]
    if not values:
        return None
    return max(values) if more_is_better else min(values)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _measured(goal: Goal, results: Results) -> float | None:
    if goal.ours not in results:
        return None
    ours = FIGURES[goal.figure][0](results[goal.ours])
    if goal.other is not None:
        other = results.get(goal.other)
        theirs = FIGURES[goal.figure][0](other) if other else None
    elif goal.family is not None:
        theirs = best(results, goal.family, goal.figure)
    else:
        return ours
    return None if not theirs else ours / theirs


def _verdict(goal: Goal, value: float | None, results: Results) -> str:
    if value is None:
        return ""
    # Ratios between disturbed rounds say nothing, in either direction.
    if any(isinstance(result, Sample) and result.is_disturbed
           for peer, result in results.items()
           if peer in (goal.ours, goal.other) or peer.family == goal.family):
        return "disturbed"
    return "reached" if goal.reached(value) else "**missed**"


def goals(measured: list[tuple[Scenario, Results]]) -> list[str]:
    """One row for each goal."""
    rows = []
    for scenario, results in measured:
        for goal in scenario.goals:
            sign = "≥" if goal.at_least else "≤"
            against = f"x {goal.against}" if goal.against else ""
            value = _measured(goal, results)
            rows.append([
                scenario.name, goal.ours.configuration or "default", FIGURES[goal.figure][2],
                f"{sign} {goal.limit:g} {against}".strip(),
                "not measured" if value is None else f"{value:.2f}",
                _verdict(goal, value, results)])
    return _table(["scenario", "ours", "figure", "goal", "measured", ""], rows)


def _ratio(results: Results, peer: peers.Peer, figure: str) -> str:
    ours = best(results, peers.OURS, figure)
    theirs = FIGURES[figure][0](results[peer])
    return "" if ours is None or peer.family == peers.OURS or not theirs else f"{ours / theirs:.2f}"


def _known(millis: float) -> str:
    return f"{millis:.2f}" if millis else "?"


def _load_rows(results: Results) -> list[str]:
    header = ["server", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "of it user",
              "ours / its requests/s", "ours / its CPU", "errors", "disturbance"]
    rows = [[peer.name, f"{sample.requests_per_second:,.0f}", _known(sample.p50_millis),
             _known(sample.p99_millis), f"{sample.cpu_micros:.2f}", f"{sample.user_micros:.2f}",
             _ratio(results, peer, "requests"), _ratio(results, peer, "cpu"),
             f"{sample.errors}", f"{sample.foreign:.0%}"]
            for peer, sample in results.items()]
    return _table(header, rows)


def _mixed_rows(results: Results) -> list[str]:
    header = ["server", "quick requests/s", "by itself", "kept", "quick p99 ms",
              "slow requests/s", "CPU µs/request", "ours / its quick requests/s", "errors",
              "disturbance"]
    rows = [[peer.name, f"{sample.requests_per_second:,.0f}", f"{sample.unmixed_per_second:,.0f}",
             f"{sample.kept:.0%}", _known(sample.p99_millis), f"{sample.slow_per_second:.0f}",
             f"{sample.cpu_micros:.2f}", _ratio(results, peer, "requests"),
             f"{sample.errors}", f"{sample.foreign:.0%}"]
            for peer, sample in results.items()]
    return _table(header, rows)


def _websocket_rows(results: Results) -> list[str]:
    header = ["server", "messages/s", "p50 ms", "p99 ms", "CPU µs/message", "of it user",
              "ours / its messages/s", "ours / its p50", "ours / its CPU", "client, of one core",
              "disturbance"]
    rows = [[peer.name, f"{sample.requests_per_second:,.0f}", _known(sample.p50_millis),
             _known(sample.p99_millis), f"{sample.cpu_micros:.2f}", f"{sample.user_micros:.2f}",
             _ratio(results, peer, "messages"), _ratio(results, peer, "last"),
             _ratio(results, peer, "message-cpu"), f"{sample.client:.0%}", f"{sample.foreign:.0%}"]
            for peer, sample in results.items()]
    return _table(header, rows)


def _idle_rows(results: Results) -> list[str]:
    header = ["server", "native kB", "live heap kB", "together kB", "still open"]
    rows = [[peer.name, f"{memory.native_bytes / 1e3:.2f}", f"{memory.heap_bytes / 1e3:.2f}",
             f"{(memory.native_bytes + memory.heap_bytes) / 1e3:.2f}", f"{memory.kept}"]
            for peer, memory in results.items()]
    return _table(header, rows)


def _declared_rows(results: Results) -> list[str]:
    header = ["server", "growth MiB", "answered early", "a GET meanwhile, ms"]
    rows = [[peer.name, f"{memory.resident_bytes / 2**20:.1f}", f"{memory.answered_early}",
             "no answer" if memory.probe_millis is None else f"{memory.probe_millis:.1f}"]
            for peer, memory in results.items()]
    return _table(header, rows)


def _start_rows(results: Results) -> list[str]:
    header = ["server", "listening, ms", "first answer, ms", "CPU until then, ms"]
    rows = [[peer.name, f"{times.listening_seconds * 1e3:.0f}",
             f"{times.answered_seconds * 1e3:.0f}", f"{times.cpu_seconds * 1e3:.0f}"]
            for peer, times in results.items()]
    return _table(header, rows)


PROCESS_ROWS = {"idle": _idle_rows, "ws-idle": _idle_rows, "ws-idle-16k": _idle_rows,
                "declared": _declared_rows, "start": _start_rows}


def section(scenario: Scenario, results: Results) -> list[str]:
    """The table of one scenario."""
    if isinstance(scenario, MixedScenario):
        rows = _mixed_rows(results)
    elif isinstance(scenario, WebSocketScenario):
        rows = _websocket_rows(results)
    elif isinstance(scenario, LoadScenario):
        rows = _load_rows(results)
    else:
        rows = PROCESS_ROWS[scenario.measure](results)
    return [f"## {scenario.name}: {scenario.title}", "", *rows, ""]


def document(conditions: list[tuple[str, str]], measured: list[tuple[Scenario, Results]],
             picture: str | None) -> str:
    """The whole report; `picture` is the name of a file beside it."""
    lines = ["# Benchmark", "", *(f"* {name}: {value}" for name, value in conditions), "",
             "CPU is user and system time of the server process. *Disturbance* is the largest share",
             "of the machine's processor time, in any round used, that neither server nor load used.",
             "", *([f"![CPU per request and requests/s]({picture})", ""] if picture else []),
             "## Goals", "", *goals(measured), ""]
    for scenario, results in measured:
        lines += section(scenario, results)
    return "\n".join(lines)
