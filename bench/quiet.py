"""Keeps other work out of a measurement: one benchmark at a time, and none beside a compiler."""

from __future__ import annotations

import contextlib
import fcntl
import time
from pathlib import Path
from typing import Iterator

from load import CORES, machine_busy_seconds

QUIET_SHARE = 0.05
LOOK_SECONDS = 1.0


def wait_until_quiet(patience_seconds: float) -> bool:
    """Waits for a second in which the machine is all but idle; False when patience ends first."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        busy, began = machine_busy_seconds(), time.monotonic()
        time.sleep(LOOK_SECONDS)
        share = (machine_busy_seconds() - busy) / ((time.monotonic() - began) * CORES)
        if share <= QUIET_SHARE:
            return True
    return False


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Holds the lock that every run of this program takes, waiting for the one before."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
