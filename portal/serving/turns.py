"""Limit of concurrent requests per client address, so that one never occupies all threads of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from portal.web.client_address import counted_as


class Turns:
    """Allows a number of concurrent requests per address; further ones wait without a thread.

    Requests through a trusted proxy are not counted, because only the proxy can limit its clients.
    """

    def __init__(self, per_address: int, is_trusted: Callable[[str], bool]) -> None:
        self.per_address, self.is_trusted = per_address, is_trusted
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def of(self, address: str) -> AsyncIterator[None]:
        """Wait for and hold one of the address's slots."""
        if self.is_trusted(address):
            yield
            return
        key = counted_as(address)
        turns = self._turns.setdefault(key, asyncio.Semaphore(self.per_address))
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with turns:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._turns[key]
