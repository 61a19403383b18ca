"""The open connections of a worker, and which one is closed for a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from portal.web.client_address import counted_as


class Connection(Protocol):
    """The interface of a connection for `Connections`."""

    @property
    def is_serving(self) -> bool:
        """True from the end of a request until its response is complete."""

    def make_room(self) -> None:
        """Close it in favour of another connection."""


class Connections:
    """The open connections by client address, the one that has waited longest first.

    If there are too many, the oldest one without a complete request is closed for a new one. So a slow client loses
    to one that sends its request at once, even behind the same address.
    """

    def __init__(self, per_address: int, total: int, is_trusted: Callable[[str], bool]) -> None:
        self.per_address, self.total, self.is_trusted = per_address, total, is_trusted
        self._groups: dict[str, dict[Connection, None]] = {}
        self._keys: dict[Connection, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, connection: Connection, address: str) -> bool:
        """Add a connection; False if all others are being served, and this one must be closed."""
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
        """Mark a connection as the youngest of its address, after it was served."""
        if connection in self._keys:
            group = self._groups[self._keys[connection]]
            del group[connection]
            group[connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection, if it is present."""
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
