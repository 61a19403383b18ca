"""uvicorn's connection with time limits for each part of a request and response."""

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
    """A connection with time limits for head, body and each part of a response, and a limit per client address.

    uvicorn limits only idle connections: a client that sends one byte a second would stay for ever.
    """

    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _part: object = None
    _read_for = 0.0  # seconds

    @property
    def is_serving(self) -> bool:
        """True from the end of a request until its response is complete."""
        request = self._request
        return request is not None and not request.more_body

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The request whose response is not complete, if there is one."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def make_room(self) -> None:
        """Close the connection, which has no complete request."""
        self._refuse(_TIMED_OUT)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept or refuse the connection, and start the time limit for the head."""
        super().connection_made(transport)
        if connections.add(self, self.client[0] if self.client else ""):
            self._limit_reading()
        else:
            self._refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection and its time limits."""
        connections.remove(self)
        self._end_reading()
        self._end_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, and apply the time limit of the current part."""
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
        """The response is written, though not all sent; the next request may be read."""
        connections.renew(self)
        self._read_for = 0.0
        if self.transport.get_write_buffer_size():
            self._limit_writing()
        self._end_reading()
        super().on_response_complete()
        if self._request is not None:  # a pipelined request was waiting
            self._limit_reading()

    def shutdown(self) -> None:
        """The worker ends: complete requests are answered, others are dropped."""
        if self._request is None or self.is_serving:
            super().shutdown()
        else:
            self._refuse(_FULL)

    def pause_writing(self) -> None:
        """The client reads slowly: start the time limit."""
        super().pause_writing()
        self._limit_writing()

    def resume_writing(self) -> None:
        """The client has read this part of the response."""
        self._end_writing()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection. One with unsent data has its own limit."""
        if not self.transport.get_write_buffer_size():
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _limit_reading(self) -> None:
        """Start the time limit when a new part of a request begins. Further bytes of that part do not restart it."""
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
        """Send the error and close. The request that is being read gets no other response."""
        if not self.transport.is_closing():
            self.transport.write(words)
            self.transport.close()
            self._limit_writing()
