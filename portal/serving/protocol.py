"""One connection: uvicorn's, with an end to what a client may take its time for."""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from portal.serving import limits
from portal.serving.connections import Connections
from portal.web.proxies import trust

connections = Connections(limits.CONNECTIONS_PER_ADDRESS, limits.CONNECTIONS, trust())
_PLAIN: Final = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n%s\r\n"
_TIMED_OUT: Final = _PLAIN % (b"408 Request Timeout", b"")
_TOO_COSTLY: Final = _PLAIN % (b"400 Bad Request", b"")
_FULL: Final = _PLAIN % (b"503 Service Unavailable", b"Retry-After: 5\r\n")


class LimitedProtocol(H11Protocol):
    """A head, a body and each part of an answer have a time limit of their own, and an address a number of connections.

    uvicorn has a limit for idle connections alone: one byte a second would keep a place for ever.
    """

    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _part: object = None
    _read_for = 0.0  # seconds

    @property
    def is_serving(self) -> bool:
        """True from the end of a request until its answer is complete."""
        request = self._request
        return request is not None and not request.more_body

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request whose answer is not complete, if there is one."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def make_room(self) -> None:
        """Close the connection, which has no whole request."""
        self._refuse(_TIMED_OUT)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, or not; from here on a whole head has to come within its time."""
        super().connection_made(transport)
        if connections.add(self, self.client[0] if self.client else ""):
            self._limit_reading()
        else:
            self._refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, with its time limits."""
        connections.remove(self)
        self._end_reading()
        self._end_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the limit is that of what is being read now."""
        for start in range(0, len(data), limits.READ_SLICE):
            if self.transport.is_closing():
                return
            began = time.thread_time()
            super().data_received(data[start : start + limits.READ_SLICE])
            self._read_for += time.thread_time() - began
            if self._read_for > limits.READ_SECONDS:
                self._refuse(_TOO_COSTLY)
        self._limit_reading()

    def on_response_complete(self) -> None:
        """The answer is written, if not yet sent; the next request is read."""
        connections.renew(self)
        self._read_for = 0.0
        if self.transport.get_write_buffer_size():
            self._limit_writing()
        self._end_reading()
        super().on_response_complete()
        if self._request is not None:  # it was waiting behind this one
            self._limit_reading()

    def shutdown(self) -> None:
        """The worker ends: requests that are whole are answered, others are not waited for."""
        if self._request is None or self.is_serving:
            super().shutdown()
        else:
            self._refuse(_FULL)

    def pause_writing(self) -> None:
        """The client takes its answer slowly."""
        super().pause_writing()
        self._limit_writing()

    def resume_writing(self) -> None:
        """The client has taken this part of its answer."""
        self._end_writing()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Idle connections end; one that still has to be sent something has its own limit."""
        if not self.transport.get_write_buffer_size():
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _limit_reading(self) -> None:
        """Start a limit where another part of a request begins; the bytes of one part start no second one."""
        request = self._request
        part: object = request or "head"
        if self.is_serving or self.transport.is_closing():
            self._end_reading()
        elif part is not self._part:
            self._end_reading()
            seconds = limits.BODY_SECONDS if request else limits.HEAD_SECONDS
            self._reading = self.loop.call_later(seconds, self._refuse, _TIMED_OUT)
            self._part = part

    def _end_reading(self) -> None:
        self._part = None
        if self._reading is not None:
            self._reading.cancel()

    def _limit_writing(self) -> None:
        if self._writing is None:
            self._writing = self.loop.call_later(limits.WRITE_SECONDS, self._abort_unsent)

    def _end_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _abort_unsent(self) -> None:
        self._writing = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse(self, words: bytes) -> None:
        """Say why and close. What is being read is dropped: it has no answer."""
        if not self.transport.is_closing():
            self.transport.write(words)
            self.transport.close()
            self._limit_writing()
