"""The portal's web server in a thread, with an application of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from portal.serving import limits
from portal.serving.gateway import Gateway
from portal.serving.protocol import LimitedProtocol
from tests.lab import waiting

Start = Callable[[str, list[tuple[str, str]]], object]
App = Callable[[dict[str, Any], Start], list[bytes]]
PATIENCE = 30.0
wait_until = partial(waiting.wait_until, seconds=PATIENCE)


def hello(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    """An application that says what it was asked."""
    body = environ["wsgi.input"].read()
    said = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
    return [said]


@contextmanager
def serve(app: App = hello, gateway: Gateway | None = None) -> Iterator[int]:
    """Serve an application, or the gateway to one, on a free port of loopback; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(
        gateway or Gateway(app),
        loop="asyncio",
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        h11_max_incomplete_event_size=limits.HEAD_SIZE,
        timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()


class Peer:
    """A client that says exactly what it is told to, from an address of loopback."""

    def __init__(self, port: int, said: bytes = b"", source: str = "127.0.0.1", receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.say(said)

    def say(self, said: bytes) -> None:
        """Send it; a connection that the server has closed takes no more."""
        try:
            self.socket.sendall(said)
        except OSError:
            return

    def hear(self) -> bytes:
        """Everything until the server closes."""
        heard = b""
        try:
            while part := self.socket.recv(65536):
                heard += part
        except ConnectionError:
            pass
        return heard

    def is_open(self) -> bool:
        """Has the server left the connection open, and said nothing?"""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        """Go away."""
        self.socket.close()


def ask(port: int, path: str = "/", *headers: str, body: bytes = b"", source: str = "127.0.0.1") -> bytes:
    """One request on a connection of its own, and its whole answer."""
    method = "POST" if body else "GET"
    extra = [f"Content-Length: {len(body)}"] if body else []
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *extra, *headers, "", ""])
    peer = Peer(port, head.encode() + body, source)
    try:
        return peer.hear()
    finally:
        peer.close()
