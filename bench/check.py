"""Whether a server answers a scenario's request correctly: a fast wrong answer is worth nothing."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path

from process import Server, ServerFailed

MEBIBYTE = 1024 * 1024
UPLOAD_BYTES = 64 * 1024
JSON_BODY = Path(__file__).with_name("servers").joinpath("answer.json").read_bytes()
JSON_HEADERS = ("Content-Type", "Cache-Control", "Vary", "Access-Control-Allow-Origin",
                "X-Content-Type-Options", "X-Request-Id")
# What servers/guestbook_api.clj has signed.
ENTRIES_BODY = (
    b'{"entries":[{"name":"Ada","message":"It might act upon other things besides number."},'
    b'{"name":"Grace","message":"It is easier to ask forgiveness than it is to get permission."},'
    b'{"name":"Alan","message":"We can only see a short distance ahead, '
    b'but we can see plenty there that needs to be done."}]}')
# Twice on one connection: also the second request must find the connection in order.
REPETITIONS = 2


@dataclass(frozen=True)
class Expected:
    """The answer to one path: its body and the headers that must be there."""

    body: bytes
    headers: tuple[str, ...] = ("Content-Type", "Date")
    upload: bytes | None = None


ANSWERS = {
    "/": Expected(b"Hello, World!"),
    "/slow": Expected(b"Hello, World!"),
    "/api/entries": Expected(ENTRIES_BODY, ("Content-Type",)),
    "/json": Expected(JSON_BODY, (*JSON_HEADERS, "Date")),
    # The count of bytes that the handler read.
    "/upload": Expected(str(UPLOAD_BYTES).encode(), upload=b"x" * UPLOAD_BYTES),
    "/stream": Expected(b"x" * MEBIBYTE),
    "/file": Expected(b"x" * MEBIBYTE),
    "/file/small": Expected(b"x" * 16 * 1024),
}


def _differences(expected: Expected, answer: http.client.HTTPResponse) -> list[str]:
    body = answer.read()
    differences = [f"no header {name}" for name in expected.headers
                   if answer.getheader(name) is None]
    if answer.status != 200:
        differences.append(f"status {answer.status}")
    if body != expected.body:
        differences.append(f"a body of {len(body)} bytes, {body[:60]!r}, instead of "
                           f"{len(expected.body)} bytes, {expected.body[:60]!r}")
    return differences


def check_answer(server: Server, path: str) -> None:
    """Raises when the answer to `path` is not the expected one."""
    expected = ANSWERS[path]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        for _ in range(REPETITIONS):
            connection.request("GET" if expected.upload is None else "POST", path,
                               body=expected.upload)
            differences = _differences(expected, connection.getresponse())
            if differences:
                raise ServerFailed(f"wrong answer to {path}: {'; '.join(differences)}")
    except (OSError, http.client.HTTPException) as error:
        raise ServerFailed(f"no answer to {path}: {error!r}\n{server.log_tail()}") from error
    finally:
        connection.close()
