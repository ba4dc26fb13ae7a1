"""One server process: started, measured through /proc, and always ended by its own process id."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Iterator

START_SECONDS = 60
STOP_SECONDS = 10
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class ServerFailed(Exception):
    """A server that did not start, or ended while it was being measured."""


@dataclass(frozen=True)
class Cpu:
    """Processor seconds that a process has used since its start."""

    user: float
    system: float

    def since(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


def raise_file_limit(needed: int) -> None:
    """Lets this process and its children open `needed` files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = hard if hard == resource.RLIM_INFINITY else max(hard, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, hard), ceiling))
    except (OSError, ValueError) as error:
        raise ServerFailed(f"needs {needed} open files, the limit is {hard}: raise it "
                           f"with `ulimit -Hn {needed}` as root") from error


def _die_with_parent() -> None:
    # Even when this program is killed with SIGKILL no server stays behind.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A started server. `facts` holds what it printed: `port`, and the versions it runs on."""

    def __init__(self, command: list[str], log) -> None:
        self._log = log
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            preexec_fn=_die_with_parent)
        self.pid = self._process.pid
        try:
            self.facts = self._read_facts()
            self.port = int(self.facts["port"])
        except BaseException:
            self.stop()
            raise

    def _read_facts(self) -> dict[str, str]:
        """Reads standard output up to the line that starts with `port=`."""
        deadline = time.monotonic() + START_SECONDS
        text = b""
        while time.monotonic() < deadline:
            readable, _, _ = select.select([self._process.stdout], [], [], 0.5)
            piece = os.read(self._process.stdout.fileno(), 65536) if readable else None
            if piece == b"":
                break
            text += piece or b""
            ready = re.search(rb"^port=\d+.*\n", text, re.MULTILINE)
            if ready:
                return dict(word.split("=", 1) for word in ready.group().decode().split())
        raise ServerFailed(f"did not start: {' '.join(self._process.args)}\n{self.log_tail()}")

    def log_tail(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def check(self) -> None:
        """Raises when the process has ended."""
        if self._process.poll() is not None:
            raise ServerFailed(f"process ended with {self._process.returncode}\n{self.log_tail()}")

    def cpu(self) -> Cpu:
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            # The command name may hold blanks: count fields from its closing bracket.
            fields = file.read().rsplit(")", 1)[1].split()
        return Cpu(int(fields[11]) / TICKS_PER_SECOND, int(fields[12]) / TICKS_PER_SECOND)

    def resident_bytes(self) -> int:
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.MULTILINE)[1]) * 1024

    def resident_bytes_outside(self, start: int, end: int) -> int:
        """Resident bytes of all mappings that do not lie within start..end (the Java heap)."""
        total = 0
        counted = True
        with open(f"/proc/{self.pid}/smaps", encoding="utf-8", errors="replace") as file:
            for line in file:
                mapping = re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line)
                if mapping:
                    counted = not start <= int(mapping[1], 16) < end
                elif counted and line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[Server]:
    """Runs a server for the length of a `with` block."""
    with tempfile.TemporaryFile() as log:
        server = Server(command, log)
        try:
            yield server
        finally:
            server.stop()
