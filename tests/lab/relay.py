"""Lets the laboratory's machines ask a DNS server that runs outside of the laboratory, beside the portal."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final

from tests.lab.nodes import OUTSIDE_V4, Node
from vpn.agent.system import inside
from vpn.agent.system.command import Netns

_LONGEST: Final = 4096
_ANSWER_SECONDS: Final = 5.0


@contextmanager
def relayed(node: Node, server: str, port: int, address: str = OUTSIDE_V4) -> Iterator[None]:
    """Inside the block, queries over UDP to `address` on `node` are answered by the server on the machine itself."""

    def listen() -> socket.socket:
        listener = socket.socket(type=socket.SOCK_DGRAM)
        listener.bind((address, 53))
        return listener

    # The socket stays in the namespace where it was opened; the thread that uses it need not be there.
    listener = inside.call(Netns(node.netns), listen)
    thread = Thread(target=_relay, args=(listener, (server, port)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.close()
        thread.join(10)


def _relay(listener: socket.socket, server: tuple[str, int]) -> None:
    listener.settimeout(0.5)
    while listener.fileno() >= 0:
        with suppress(OSError):
            query, asker = listener.recvfrom(_LONGEST)
            with socket.socket(type=socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(_ANSWER_SECONDS)
                upstream.sendto(query, server)
                listener.sendto(upstream.recv(_LONGEST), asker)
