"""What connected OpenVPN sessions were pushed: a client learns of routes and resolvers when it connects, and only then.

The script `connect` notes a digest of what it pushed. When a file `pushed_...` changes, `push_changed` says when; it
stays until no session is left that would be pushed something else now.
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
    """What a peer would be pushed now, as a digest, and whether it is a router with networks behind it."""

    digest: str
    is_site: bool


def note_change(layout: Layout) -> None:
    """Note that peers are pushed something else from now on."""
    files.replace(layout.push_changed, f"{time.time()}\n", durable=False)


def changed_at(layout: Layout) -> float | None:
    """Return when (Unix time) what is pushed changed last; None where every session has it."""
    text = files.read_text(layout.push_changed)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return 0.0


def forget_change(layout: Layout, noted: float) -> None:
    """Note that every session has what changed at `noted`, unless something changed since. Needs the host's lock."""
    if changed_at(layout) == noted:
        layout.push_changed.unlink(missing_ok=True)


class Pushed:
    """What the listeners of a hub push now, read once."""

    def __init__(self, names: Names, layout: Layout) -> None:
        self._names = names
        self._layout = layout
        self._lines = functools.cache(self._read_lines)
        self._shared = functools.cache(self._digest)

    def is_outdated(self, listener: str, session: Session) -> bool:
        """Return whether a session would be pushed something else if it began now."""
        expected = self.expected(listener, session.common_name)
        return expected is not None and expected.digest != self._told(listener, session.common_name)

    def expected(self, listener: str, common_name: str) -> Expected | None:
        """Return what a peer would be pushed; None where it may not connect to this listener."""
        text = files.read_text(self._layout.clients(listener == COMPAT) / common_name)
        if text is None:
            return None
        kinds = tuple(text.partition("\n")[0].split()[1:])
        is_owner = any(owner == common_name for kind in kinds for owner, _ in self._lines(kind))
        digest = self._digest(kinds, common_name) if is_owner else self._shared(kinds, "")
        return Expected(digest, is_site="iroute" in text)

    def _told(self, listener: str, common_name: str) -> str:
        shown = files.read_foreign(self._layout.shown / f"{common_name}.{self._names.openvpn(listener)}") or ""
        return "".join(shown.split()[2:3])

    def _read_lines(self, kind: str) -> list[tuple[str, str]]:
        text = files.read_text(self._layout.directory / f"pushed_{kind}") or ""
        return [(owner, line) for owner, _, line in (each.partition(" ") for each in text.splitlines())]

    def _digest(self, kinds: tuple[str, ...], common_name: str) -> str:
        content = "".join(f"{line}\n" for line in self._pushed(kinds, common_name))
        return hashlib.sha256(content.encode()).hexdigest()

    def _pushed(self, kinds: tuple[str, ...], common_name: str) -> Iterator[str]:
        """As the script `connect` filters them: a peer's own networks are not pushed to it."""
        for kind in kinds:
            yield from (line for owner, line in self._lines(kind) if owner != common_name)
