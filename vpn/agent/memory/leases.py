"""The leases of this server's hubs. A hub without one runs on without the portal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vpn.agent.system import clock, files
from vpn.agent.system.lock import leases_lock
from vpn.wire.lease import Moment, parse_moment

_NAME: Final = "leases.json"
_Stamp = tuple[int, int, int]
# By hub, the end of its lease; None if it is not known, and so over.
_Ends = dict[str, Moment | None]


@dataclass
class Leases:
    """Kept in one file, which is read again only if it was replaced. `hubs` returns the hubs of the server."""

    directory: Path
    hubs: Callable[[], list[str]]
    _stamp: _Stamp | None = None
    _ends: _Ends | None = None

    def is_over(self, hub: str) -> bool:
        """Return True if the hub's lease has ended, or was granted before the server's last start."""
        return bool(self.over([hub]))

    def over(self, hubs: Collection[str]) -> set[str]:
        """Return those of the hubs whose lease is over."""
        ends = self._read()
        if not ends:
            return set()
        now = clock.now()
        return {hub for hub in hubs if hub in ends and _is_over(ends[hub], now)}

    def grant(self, hubs: Collection[str], end: Moment) -> None:
        """Give these hubs a lease, or a longer one. One that is over already is noted, too."""
        with leases_lock(self.directory):
            before = self._read()
            self._write(before | {hub: _longer(before.get(hub), end) for hub in hubs}, before)

    def end(self, hubs: Collection[str]) -> None:
        """Let these hubs run without a lease."""
        if self._read().keys().isdisjoint(hubs):
            return
        with leases_lock(self.directory):
            before = self._read()
            self._write({hub: end for hub, end in before.items() if hub not in hubs}, before)

    def _read(self) -> _Ends:
        stamp = self._stamp_of_file()
        if self._ends is None or stamp != self._stamp:
            self._stamp, self._ends = stamp, {} if stamp is None else self._load()
        return self._ends

    def _load(self) -> _Ends:
        document = files.read_json(self.directory / _NAME)
        if not isinstance(document, dict):
            # Damaged: any hub may have had one.
            return dict.fromkeys(self.hubs())
        return {str(hub): parse_moment(end) for hub, end in document.items()}

    def _write(self, after: Mapping[str, Moment | None], before: Mapping[str, Moment | None]) -> None:
        """Write the leases. After a power cut, none of a hub may be missing; when it ended does not matter then."""
        documents = {hub: end.document() if end is not None else None for hub, end in sorted(after.items())}
        is_durable = after.keys() != before.keys()
        files.replace(self.directory / _NAME, json.dumps(documents, separators=(",", ":")), durable=is_durable)

    def _stamp_of_file(self) -> _Stamp | None:
        try:
            found = os.stat(f"{self.directory}/{_NAME}")
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


def _is_over(end: Moment | None, now: Moment) -> bool:
    return end is None or end.boot != now.boot or end.seconds <= now.seconds


def _longer(known: Moment | None, end: Moment) -> Moment:
    """Return the end of the lease that is over later; one of another start of the server is over."""
    if known is None:
        return end
    if known.boot != end.boot:
        return known if known.boot == clock.now().boot else end
    return max(known, end, key=lambda moment: moment.seconds)
