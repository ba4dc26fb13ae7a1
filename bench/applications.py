"""What handler namespaces need on the class path besides their server."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JARS = Path("/usr/share/java")
GUEST_BOOK = ROOT / "examples" / "guestbook"

# Debian's packages libcompojure-clojure, libring-defaults-clojure and libring-json-clojure, with
# what they depend on; integration.compojure-test names the same.
COMPOJURE = tuple(JARS / f"{name}.jar" for name in (
    "clj-time", "clout", "commons-codec", "commons-fileupload", "commons-io", "compojure",
    "cheshire", "crypto-equality", "crypto-random", "instaparse", "jackson-core",
    "jackson-dataformat-cbor", "jackson-dataformat-smile", "joda-time", "medley",
    "ring-anti-forgery", "ring-codec", "ring-core", "ring-defaults", "ring-headers", "ring-json",
    "ring-ssl", "servlet-api", "tigris", "tools.macro"))

PATHS: dict[str, tuple[Path, ...]] = {
    # The names and signatures of ring.websocket; another on the server's class path comes first.
    "ring-websocket": (ROOT / "test" / "ring_doubles",),
    "guestbook-api": (*COMPOJURE, GUEST_BOOK / "src", GUEST_BOOK / "resources"),
}


def class_path(handler: str) -> tuple[str, ...]:
    return tuple(str(path) for path in PATHS.get(handler, ()))


def missing(handler: str) -> str | None:
    """Names the first thing that is not on this machine; None when the handler can be loaded."""
    return next((str(path) for path in PATHS.get(handler, ()) if not path.exists()), None)
