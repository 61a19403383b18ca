"""Memory limit for large responses that clients have not read yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from portal.web.client_address import counted_as


class Unsent:
    """Sizes of the large responses that are being sent, by client address.

    If another one does not fit, the oldest response to the address with the most bytes is dropped. So a slow client
    with many large responses loses to a new one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[str, dict[asyncio.Event, int]] = {}

    @property
    def size(self) -> int:
        """The total in bytes."""
        return sum(map(self._size_of, self._held))

    @contextmanager
    def hold(self, address: str, size: int) -> Iterator[asyncio.Event]:
        """Reserve memory while a response is sent. The yielded event is set when the response must be dropped."""
        while self._held and self.size + size > self.most:
            self._drop(max(self._held, key=self._size_of))
        key, dropped = counted_as(address), asyncio.Event()
        self._held.setdefault(key, {})[dropped] = size
        try:
            yield dropped
        finally:
            self._forget(key, dropped)

    def _size_of(self, key: str) -> int:
        return sum(self._held[key].values())

    def _drop(self, key: str) -> None:
        oldest = next(iter(self._held[key]))
        oldest.set()
        self._forget(key, oldest)

    def _forget(self, key: str, dropped: asyncio.Event) -> None:
        if self._held.get(key, {}).pop(dropped, None) is not None and not self._held[key]:
            del self._held[key]
