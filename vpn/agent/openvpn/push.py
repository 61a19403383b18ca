"""Pushed options of connected OpenVPN sessions. A client gets routes and resolvers only when it connects.

The script `connect` records a digest of the options that it pushed. When a file `pushed_...` changes, `push_changed`
contains the time. It is deleted once every session has the current options.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vpn.agent.memory.names import COMPAT, Names
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import Session
from vpn.agent.system import files


@dataclass(frozen=True)
class Expected:
    """The digest of a peer's current options, and whether the peer is a router with networks behind it."""

    digest: str
    is_site: bool


def note_change(layout: Layout) -> None:
    """Record the time at which the pushed options changed."""
    files.replace(layout.push_changed, f"{time.time()}\n", durable=False)


def changed_at(layout: Layout) -> float | None:
    """Return when (Unix time) the pushed options last changed; None if every session has them."""
    text = files.read_text(layout.push_changed)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return 0.0


def forget_change(layout: Layout, noted: float) -> None:
    """Record that every session has the options of `noted`, unless they changed since. Needs the hub's lock."""
    if changed_at(layout) == noted:
        layout.push_changed.unlink(missing_ok=True)


class Pushed:
    """The current pushed options of a hub's listeners, read once."""

    def __init__(self, names: Names, layout: Layout) -> None:
        self._names = names
        self._layout = layout
        self._lines = functools.cache(self._read_lines)
        self._shared = functools.cache(self._digest)

    def is_outdated(self, listener: str, session: Session) -> bool:
        """Return True if a session has outdated pushed options."""
        expected = self.expected(listener, session.common_name)
        return expected is not None and expected.digest != self._recorded(listener, session.common_name)

    def expected(self, listener: str, common_name: str) -> Expected | None:
        """Return a peer's current options; None if it may not connect to this listener."""
        text = files.read_text(self._layout.clients(listener == COMPAT) / common_name)
        if text is None:
            return None
        kinds = tuple(text.partition("\n")[0].split()[1:])
        is_owner = any(owner == common_name for kind in kinds for owner, _ in self._lines(kind))
        digest = self._digest(kinds, common_name) if is_owner else self._shared(kinds, "")
        return Expected(digest, is_site="iroute" in text)

    def _recorded(self, listener: str, common_name: str) -> str:
        shown = files.read_foreign(self._layout.shown / f"{common_name}.{self._names.openvpn(listener)}") or ""
        return "".join(shown.split()[2:3])

    def _read_lines(self, kind: str) -> list[tuple[str, str]]:
        text = files.read_text(self._layout.directory / f"pushed_{kind}") or ""
        return [(owner, line) for owner, _, line in (each.partition(" ") for each in text.splitlines())]

    def _digest(self, kinds: tuple[str, ...], common_name: str) -> str:
        content = "".join(f"{line}\n" for line in self._pushed(kinds, common_name))
        return hashlib.sha256(content.encode()).hexdigest()

    def _pushed(self, kinds: tuple[str, ...], common_name: str) -> Iterator[str]:
        """Yield the options without the peer's own networks, as the script `connect` filters them."""
        for kind in kinds:
            yield from (line for owner, line in self._lines(kind) if owner != common_name)
