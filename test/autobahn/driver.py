"""Runs the Autobahn test suite against an echo server and judges its report.

Usage: driver.py WSTEST CASES REPORTS -- SERVER...

WSTEST is the suite's command, CASES the number of cases there must be, REPORTS the directory for the suite's reports and
both logs, SERVER the command of an echo server: it prints its port as the first line and ends with its standard input.

Every case passes whose `behavior` and `behaviorClose` are OK or INFORMATIONAL: NON-STRICT, which the suite itself lets
pass, is a failure here. The last line counts the cases; the exit status is 0 if all passed.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
from collections import Counter

AGENT = "httpkit-rs"
# Compression (permessage-deflate) is not offered.
EXCLUDED = ["12.*", "13.*"]
# The cases take 40 s on an idle machine.
PATIENCE_SECONDS = 900
SERVER_END_SECONDS = 30
GOOD = ("OK", "INFORMATIONAL")


@contextlib.contextmanager
def running(server, reports):
    """Starts the server and gives its port; ends it with the block. What it warns about is written down."""
    with open(reports / "server.txt", "w", encoding="utf-8") as warnings:
        process = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=warnings, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(SERVER_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def run_suite(wstest, reports, port):
    """Runs all cases; the suite writes its reports only when the last one has ended."""
    specification = {
        "outdir": str(reports),
        "servers": [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}],
        "cases": ["*"],
        "exclude-cases": EXCLUDED,
        "exclude-agent-cases": {},
    }
    file = reports / "fuzzingclient.json"
    file.write_text(json.dumps(specification))
    with open(reports / "log.txt", "w", encoding="utf-8") as log:
        subprocess.run(
            [wstest, "-m", "fuzzingclient", "-s", str(file)],
            cwd=reports, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=PATIENCE_SECONDS, check=True)


def verdicts(reports):
    """Returns the report's entry of each case, by its number, in the cases' order."""
    entries = json.loads((reports / "index.json").read_text())[AGENT]
    return dict(sorted(entries.items(), key=lambda entry: [int(part) for part in entry[0].split(".")]))


def verdict(entry):
    """Returns the worse of a case's two behaviours."""
    behaviours = (entry["behavior"], entry["behaviorClose"])
    bad = [behaviour for behaviour in behaviours if behaviour not in GOOD]
    return bad[0] if bad else max(behaviours, key=GOOD.index)


def explain(number, entry, reports):
    """Prints what a case expected and what it got."""
    report = json.loads((reports / entry["reportfile"]).read_text())
    print(f"Case {number}: {entry['behavior']}, close {entry['behaviorClose']}, code {entry['remoteCloseCode']}")
    for key in ("description", "expectation", "result", "resultClose", "expected", "received"):
        print(f"  {key}: {str(report.get(key))[:300]}")


def judge(reports, expected):
    """Prints the failures and sums; returns how many cases passed and failed. A case that is not there failed."""
    entries = verdicts(reports)
    counts = Counter(verdict(entry) for entry in entries.values())
    for number, entry in entries.items():
        if verdict(entry) not in GOOD:
            explain(number, entry, reports)
    passed = sum(counts[good] for good in GOOD)
    bad = {"NON-STRICT": 0, "FAILED": 0, **{name: count for name, count in counts.items() if name not in GOOD}}
    print(f"autobahn: {passed} OK (of them {counts['INFORMATIONAL']} INFORMATIONAL), "
          + ", ".join(f"{count} {name}" for name, count in bad.items())
          + f"; {len(entries)} of {expected} cases; {reports}/index.html")
    return passed, max(expected - passed, len(entries) - passed)


def main():
    wstest, cases, reports, separator, *server = sys.argv[1:]
    if separator != "--" or not server:
        sys.exit(__doc__)
    reports = pathlib.Path(reports).resolve()
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    try:
        with running(server, reports) as port:
            run_suite(wstest, reports, port)
        passed, failed = judge(reports, int(cases))
    except (OSError, ValueError, subprocess.SubprocessError) as failure:
        print(f"The suite did not run to its end ({failure}): see {reports}/*.txt")
        passed, failed = 0, int(cases)
    print(f"autobahn: passed={passed} failed={failed} skipped=0")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
