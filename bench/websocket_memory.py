"""What an idle WebSocket costs its server, after one message."""

from __future__ import annotations

import peers
from memory import IDLE_CONNECTIONS, WARM_UP_SECONDS, IdleMemory, idle_java_options, read_live
from process import raise_file_limit, started
from websocket import connected

HANDLER = "websocket"
PATH = "/echo"
WARM_UP_CONNECTIONS = 64
# Handshakes are compiled, too: the compilers' own memory is none of the connections'.
WARM_UP_ROUNDS = 100
# Room for the slowest peer, which keeps 35 kB for each connection.
HEAP_MEBIBYTES = 768


def idle_after_message(payload_bytes: int, peer: peers.Peer,
                       java_options: tuple[str, ...]) -> IdleMemory:
    """Opens the connections one by one, has a message echoed on each and leaves them idle."""
    raise_file_limit(IDLE_CONNECTIONS + 500)
    is_jvm = peer.family != peers.TOKIO
    options = idle_java_options(HEAP_MEBIBYTES) + java_options
    with started(peers.command(peer, HANDLER, options)) as server:
        with connected(server, "echo", PATH, WARM_UP_CONNECTIONS, payload_bytes) as client:
            client.run(WARM_UP_SECONDS)
        for _ in range(WARM_UP_ROUNDS):
            with connected(server, "idle", PATH, WARM_UP_CONNECTIONS, payload_bytes):
                pass
        before = read_live(server, is_jvm)
        with connected(server, "idle", PATH, IDLE_CONNECTIONS, payload_bytes) as client:
            after = read_live(server, is_jvm)
            kept = client.run()["kept"]
    return IdleMemory((after.native - before.native) / IDLE_CONNECTIONS,
                      (after.heap - before.heap) / IDLE_CONNECTIONS, kept)
