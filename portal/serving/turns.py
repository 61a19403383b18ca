"""One address never has all threads of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from portal.web.client_address import counted_as


class Turns:
    """At most so many requests of one address run at the same time; its others wait without a thread.

    Requests that come through a trusted proxy are not counted: its own limits know the clients.
    """

    def __init__(self, per_address: int, is_trusted: Callable[[str], bool]) -> None:
        self.per_address, self.is_trusted = per_address, is_trusted
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def of(self, address: str) -> AsyncIterator[None]:
        """Hold one of the address's turns."""
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
