#!/usr/bin/env python3
"""Compares httpkit-rs with other servers, on this machine.

Prints a report and keeps it, dated, in bench/results with a picture of the main figures.
README.md beside this file says what each scenario does.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import signal
import sys
from functools import partial

import applications
import machine
import memory
import peers
import plot
import report
import start
import throughput
from process import ServerFailed
from quiet import alone
from scenarios import SCENARIOS, LoadScenario
from websocket_memory import idle_after_message

# The same heap for every JVM under load, all of it touched before: else the growth of each, which ends
# some minutes later, is part of the figures.
LOAD_HEAP = ("-Xms1g", "-Xmx1g", "-XX:+AlwaysPreTouch")
MEASURES = {
    "idle": memory.idle, "declared": memory.declared, "start": start.start,
    "ws-idle": partial(idle_after_message, 64),
    "ws-idle-16k": partial(idle_after_message, 16 * 1024),
}


def _arguments() -> argparse.Namespace:
    names = ",".join(scenario.name for scenario in SCENARIOS)
    families = ",".join(peers.FAMILIES)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default=names, help=f"comma-separated, from: {names}")
    parser.add_argument("--peer", default=families, help=f"comma-separated, from: {families}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each server (5)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a round (5)")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds before round 1 (10)")
    parser.add_argument("--patience", type=float, default=30,
                        help="seconds that each round waits for a quiet machine (30)")
    parser.add_argument("--java-options", default="", help="given to every JVM, shell-quoted")
    parser.add_argument("--no-file", action="store_true", help="print the report, keep no file")
    arguments = parser.parse_args()
    arguments.scenario = _chosen(parser, "scenario", arguments.scenario, names)
    arguments.peer = _chosen(parser, "peer", arguments.peer, families)
    if arguments.rounds < 1 or arguments.seconds <= 0 or arguments.warm_up <= 0:
        parser.error("--rounds, --seconds and --warm-up must be positive")
    return arguments


def _chosen(parser: argparse.ArgumentParser, option: str, given: str, known: str) -> set[str]:
    chosen = set(given.split(","))
    unknown = chosen - set(known.split(","))
    if unknown:
        parser.error(f"--{option} knows {known}, not {', '.join(sorted(unknown))}")
    return chosen


def _measure(scenario, contestants: list[peers.Peer], arguments: argparse.Namespace):
    """The results of one scenario, by peer."""
    print(f"{scenario.name}: {scenario.title}", file=sys.stderr, flush=True)
    java_options = tuple(shlex.split(arguments.java_options))
    if isinstance(scenario, LoadScenario):
        rounds = throughput.Rounds(arguments.rounds, arguments.seconds, arguments.warm_up,
                                   arguments.patience)
        return throughput.run(scenario, contestants, rounds, LOAD_HEAP + java_options)
    results = {}
    for peer in contestants:
        try:
            results[peer] = MEASURES[scenario.measure](peer, java_options)
            print(f"  {peer.name}: {results[peer]}", file=sys.stderr, flush=True)
        except (ServerFailed, OSError) as error:
            _left_out(f"{scenario.name}, {peer.name}", error)
    return results


def _left_out(what: str, error: Exception) -> None:
    """What cannot be measured is no reason to lose the rest of a long run."""
    print(f"{what}: left out: {error!r}", file=sys.stderr, flush=True)


def _loadable(scenario, peer: peers.Peer) -> bool:
    """Whether the libraries of the peer's application are there; says what is missing."""
    handler = peer.handler or getattr(scenario, "handler", "")
    missing = applications.missing(handler)
    if missing:
        print(f"{scenario.name}: {peer.name} is left out, there is no {missing}",
              file=sys.stderr, flush=True)
    return missing is None


def _run(arguments: argparse.Namespace) -> None:
    machine.check_tools()
    families = {family for family in arguments.peer if peers.available(family)}
    peers.prepare(families, any(name.startswith("ws-") for name in arguments.scenario))
    began = datetime.datetime.now(datetime.timezone.utc)
    conditions = [
        ("date", began.strftime("%Y-%m-%d %H:%M UTC")),
        ("machine", machine.processor()),
        ("versions", machine.versions(families)),
        ("command", shlex.join(["python3", "bench/run.py", *sys.argv[1:]])),
        ("load average before", machine.load_average()),
    ]
    measured = []
    for scenario in SCENARIOS:
        if scenario.name not in arguments.scenario:
            continue
        contestants = [peer for peer in scenario.peers
                       if peer.family in families and _loadable(scenario, peer)]
        if not contestants:
            continue
        try:
            results = _measure(scenario, contestants, arguments)
        except (ServerFailed, OSError) as error:
            _left_out(scenario.name, error)
            continue
        measured.append((scenario, results))
        print("\n".join(report.section(scenario, results)), flush=True)
    print("\n".join(report.goals(measured)))
    if not arguments.no_file:
        _keep(began, conditions, measured)


def _keep(began: datetime.datetime, conditions: list[tuple[str, str]], measured: list) -> None:
    """Writes the report and, of the scenarios that it shows, the picture."""
    path = peers.BENCH / "results" / began.strftime("%Y-%m-%d-%H%M.md")
    path.parent.mkdir(exist_ok=True)
    shown = [(scenario, results) for scenario, results in measured if plot.plotted(scenario)]
    picture = path.with_suffix(".svg") if shown else None
    if picture:
        note = f"{machine.processor()}, {began:%Y-%m-%d}"
        picture.write_text(plot.picture(shown, note), encoding="utf-8")
    path.write_text(report.document(conditions, measured, picture and picture.name),
                    encoding="utf-8")
    print(f"\nkept in {os.path.relpath(path)}")


def _end(number: int, _frame) -> None:
    # As an exception, so that every `with` block ends its server on the way out.
    raise SystemExit(128 + number)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        arguments = _arguments()
        with alone(peers.ROOT / "target" / "bench" / "lock"):
            _run(arguments)
    except (peers.PeerMissing, ServerFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
