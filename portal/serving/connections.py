"""Who is connected to this worker, and which connection makes room for a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from portal.web.client_address import counted_as


class Connection(Protocol):
    """What the book has to know of a connection."""

    @property
    def is_serving(self) -> bool:
        """True from the end of a request until its answer is complete."""

    def make_room(self) -> None:
        """Close it, since another one needs the place."""


class Connections:
    """The open connections by the address that they come from, the one that waits longest first.

    A new connection is let in, and the oldest that has no whole request is closed for it: who sends slowly loses to who
    sends a request at once, also behind the same address.
    """

    def __init__(self, per_address: int, total: int, is_trusted: Callable[[str], bool]) -> None:
        self.per_address, self.total, self.is_trusted = per_address, total, is_trusted
        self._groups: dict[str, dict[Connection, None]] = {}
        self._keys: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, connection: Connection, address: str) -> bool:
        """Let a connection in; False where all others are being served, and this one has to go."""
        key = counted_as(address)
        group = self._groups.get(key, {})
        if len(group) >= self.per_address and not self.is_trusted(address) and not self._make_room(group):
            return False
        if len(self) >= self.total and not self._make_room(max(self._groups.values(), key=len)):
            return False
        self._groups.setdefault(key, {})[connection] = None
        self._keys[connection] = key
        return True

    def renew(self, connection: Connection) -> None:
        """It was served: from now on it is the youngest of its address."""
        if connection in self._keys:
            group = self._groups[self._keys[connection]]
            del group[connection]
            group[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is still known."""
        key = self._keys.pop(connection, None)
        if key is not None:
            del self._groups[key][connection]
            if not self._groups[key]:
                del self._groups[key]

    def _make_room(self, group: dict[Connection, None]) -> bool:
        for connection in group:
            if not connection.is_serving:
                self.remove(connection)
                connection.make_room()
                return True
        return False
