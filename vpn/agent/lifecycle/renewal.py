"""Having OpenVPN sessions begin anew where they would be pushed something else, a few at a time.

A session that begins anew is silent for about two seconds and keeps its address, so that what runs through it goes on.
Without that a router would miss a new site's routes for as long as its session lasts, which may be months.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from vpn.agent.lifecycle.host import Host
from vpn.agent.memory.names import LISTENERS
from vpn.agent.openvpn import management as openvpn_management
from vpn.agent.openvpn.layout import Layout
from vpn.agent.openvpn.management import Session, Unheard
from vpn.agent.openvpn.push import Pushed, changed_at, forget_change
from vpn.agent.system.lock import BusyError, hub_lock

RATE: Final = 10.0  # sessions a second, on the whole host
_BURST: Final = 5  # sessions at once
QUIET: Final = 3.0  # seconds without another change, so that sites that are added one after another are told at once
_LONGEST_WAIT: Final = 30.0  # seconds of waiting for quiet
_SETTLED_AFTER: Final = 10.0  # seconds: who connected just before the change is listed by then
_YOUNGEST: Final = 3  # seconds: the script that notes what was pushed may still run
_AGAIN_AFTER: Final = 30.0  # seconds between two ends of one session

_Clock = Callable[[], float]


@dataclass
class Pace:
    """How many sessions may begin anew now: `RATE` a second, irregularly, and never more than `_BURST` at once."""

    clock: _Clock = time.monotonic
    _next: float = 0.0

    def take(self, wanted: int) -> int:
        """Return how many of the `wanted` ones may, which counts them."""
        now = self.clock()
        # Unused time is not saved up.
        self._next = max(self._next, now - _BURST / RATE)
        taken = 0
        while taken < min(wanted, _BURST) and self._next <= now:
            self._next += random.uniform(0.5, 1.5) / RATE  # noqa: S311 - spreads load, keeps no secret
            taken += 1
        return taken


@dataclass(frozen=True)
class _Outdated:
    hub: str
    listener: str
    session: Session
    digest: str
    is_site: bool

    @property
    def key(self) -> tuple[str, str, str]:
        return self.hub, self.listener, self.session.common_name


@dataclass
class Renewal:
    """What is remembered between two looks; nothing of it is needed after a restart."""

    host: Host
    pace: Pace = field(default_factory=Pace)
    # Of each session that was ended: what it would have been pushed, and when that was.
    _ended: dict[tuple[str, str, str], tuple[str, float]] = field(default_factory=dict)
    _waiting_since: dict[str, float] = field(default_factory=dict)

    def look(self) -> int:
        """Have some of the outdated sessions begin anew; return how many."""
        found = [outdated for hub in self.host.state.hubs() for outdated in self._outdated(hub)]
        # Sites first: one router carries many users.
        random.shuffle(found)
        found.sort(key=lambda each: not each.is_site)
        chosen = found[: self.pace.take(len(found))]
        return sum(self._end(each) for each in chosen)

    def _outdated(self, hub: str) -> Iterator[_Outdated]:
        layout = Layout(self.host.state.openvpn(hub))
        noted = changed_at(layout)
        if noted is None or not self._is_quiet(hub, noted):
            return
        pushed = Pushed(self.host.names(hub), layout)
        is_complete, left = True, 0
        for listener in LISTENERS:
            if not layout.config(listener).exists():
                continue
            try:
                sessions = openvpn_management.sessions(layout.socket(listener))
            except Unheard:
                is_complete = False
                continue
            for session in sessions:
                if pushed.is_outdated(listener, session):
                    left += 1
                    yield from self._ripe(hub, listener, session, pushed)
        if is_complete and not left and not 0 <= time.time() - noted < _SETTLED_AFTER:
            # A hub that is being changed is left out: the next look is soon.
            with suppress(BusyError), hub_lock(self.host.state.directory, hub, 0.0):
                forget_change(layout, noted)
                self._ended = {key: ended for key, ended in self._ended.items() if key[0] != hub}

    def _is_quiet(self, hub: str, noted: float) -> bool:
        """Has nothing changed for a while, or does that take too long?"""
        if not 0 <= time.time() - noted < QUIET:
            self._waiting_since.pop(hub, None)
            return True
        return time.monotonic() - self._waiting_since.setdefault(hub, time.monotonic()) > _LONGEST_WAIT

    def _ripe(self, hub: str, listener: str, session: Session, pushed: Pushed) -> Iterator[_Outdated]:
        expected = pushed.expected(listener, session.common_name)
        if expected is None or 0 <= time.time() - session.connected_since < _YOUNGEST:
            return
        outdated = _Outdated(hub, listener, session, expected.digest, expected.is_site)
        digest, at = self._ended.get(outdated.key, ("", -_AGAIN_AFTER))
        # Ended once for the very same: whatever keeps it from taking that over, ending it again does not mend it.
        if digest != expected.digest and time.monotonic() - at >= _AGAIN_AFTER:
            yield outdated

    def _end(self, outdated: _Outdated) -> int:
        self._ended[outdated.key] = outdated.digest, time.monotonic()
        layout = Layout(self.host.state.openvpn(outdated.hub))
        with suppress(Unheard):
            return openvpn_management.restart(layout.socket(outdated.listener), [outdated.session.common_name])
        return 0
