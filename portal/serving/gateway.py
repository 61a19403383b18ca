"""From ASGI to Django: a request occupies a thread only after it was read, and until its response is ready to send."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from django.conf import settings
from django.db import DatabaseError, close_old_connections

from portal.garbage import freeze_loaded
from portal.serving import limits
from portal.serving.environ import build_environ, is_sound
from portal.serving.lifetime import end_with_parent
from portal.serving.turns import Turns
from portal.serving.unsent import Unsent
from portal.web.later import ENVIRON_KEY, Later
from portal.web.proxies import trust
from portal.wsgi import application as wsgi

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)
_CHUNK = 64 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class TooLargeError(Exception):
    """The body is larger than BODY_SIZE."""


class GoneError(Exception):
    """The client disconnected before its request was complete."""


@dataclass
class Answer:
    """The complete response of the application."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class Gateway:
    """The ASGI application of one worker."""

    def __init__(self, wsgi: Callable[..., Any]) -> None:
        self.wsgi = wsgi
        self.threads = ThreadPoolExecutor(limits.THREADS, "request")
        self.turns = Turns(limits.THREADS_PER_ADDRESS, trust())
        self.unsent = Unsent(limits.UNSENT_SIZE)
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or handle the worker's start and end."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if not is_sound(scope):
            await _send(_refusal(400, "This request is not understood."), send)
            return
        with SpooledTemporaryFile(limits.BODY_IN_MEMORY) as body:
            try:
                size = await _read(scope, receive, cast("IO[bytes]", body))
                answer = await self._answer(scope, cast("IO[bytes]", body), size)
            except GoneError:
                return
            except TooLargeError:
                answer = _refusal(413, f"A request may have at most {limits.BODY_SIZE} bytes.")
        await self._deliver(scope, answer, send)

    async def _deliver(self, scope: Scope, answer: Answer, send: Send) -> None:
        """Send a response. A large one may be aborted if others need the memory; then the connection is closed."""
        if len(answer.body) <= limits.LARGE:
            await _send(answer, send)
            return
        host, _ = scope.get("client") or ("", 0)
        with self.unsent.hold(host, len(answer.body)) as dropped:
            sending, ending = asyncio.create_task(_send(answer, send)), asyncio.create_task(dropped.wait())
            try:
                await asyncio.wait({sending, ending}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    await sending
            finally:
                ending.cancel()
                sending.cancel()

    async def _answer(self, scope: Scope, body: IO[bytes], size: int) -> Answer:
        """Run the application; if it waits for a condition, run it again once that is met."""
        loop = asyncio.get_running_loop()
        deadline = None
        while True:
            later = Later()
            body.seek(0)
            environ = build_environ(scope, cast("Any", body), size) | {ENVIRON_KEY: later}
            async with self.turns.of(environ["REMOTE_ADDR"]):
                answer = await loop.run_in_executor(self.threads, run, self.wsgi, environ)
            if later.ready is None or self.waiting >= limits.WAITING:
                return answer
            deadline = deadline or loop.time() + later.seconds
            if not await self._wait(later.ready, deadline):
                return answer

    async def _wait(self, ready: Callable[[], bool], deadline: float) -> bool:
        """Poll until it is ready, at growing intervals; False if the deadline comes first."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        self.waiting += 1
        try:
            while loop.time() + pause < deadline:
                await asyncio.sleep(pause)
                if await loop.run_in_executor(self.threads, _is_ready, ready):
                    return True
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        except asyncio.CancelledError:  # the worker ends: send the response as it is
            return False
        finally:
            self.waiting -= 1
        return False


def run(wsgi: Callable[..., Any], environ: dict[str, Any]) -> Answer:
    """Return the application's complete response (PEP 3333)."""
    answer = Answer()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        answer.status = int(status.partition(" ")[0])
        answer.headers = [(name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]

    chunks = wsgi(environ, start_response)
    try:
        answer.body = b"".join(chunks)
    finally:
        with contextlib.suppress(AttributeError):
            chunks.close()
    return answer


def _is_ready(ready: Callable[[], bool]) -> bool:
    close_old_connections()
    try:
        return ready()
    except DatabaseError:
        _log.exception("Could not ask whether an answer is ready")
        return False
    finally:
        close_old_connections()


async def _read(scope: Scope, receive: Receive, body: IO[bytes]) -> int:
    """Write the whole body to a file and return its size. The connection enforces the time limit."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if int(announced) > limits.BODY_SIZE:
        raise TooLargeError
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise GoneError
        size += len(message.get("body", b""))
        if size > limits.BODY_SIZE:
            raise TooLargeError
        body.write(message.get("body", b""))
        if not message.get("more_body"):
            return size


def _refusal(status: int, words: str) -> Answer:
    """Return the response to a request whose body is not read, so the connection must be closed."""
    body = f"{words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    return Answer(status, [*headers, (b"connection", b"close")], body)


async def _send(answer: Answer, send: Send) -> None:
    """Send a response as fast as the client reads it."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    for start in range(0, len(answer.body), _CHUNK):
        await send({"type": "http.response.body", "body": answer.body[start : start + _CHUNK], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    """Handle the worker's start and end: it raises its descriptor limit, and ends with its parent."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            end_with_parent()
            import_module(settings.ROOT_URLCONF)  # load all views now, not at the first request
            freeze_loaded()
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


application = Gateway(wsgi)
