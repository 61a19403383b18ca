"""Let OpenVPN clients reconnect, a few at a time, when the options that they were pushed have changed.

A client learns pushed routes only when it connects. Its session may last months, so a router would miss the routes of
a new site. Reconnecting takes about two seconds. The client keeps its address, so its connections continue.
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
from vpn.agent.openvpn.management import NoAnswer, Session
from vpn.agent.openvpn.push import Pushed, changed_at, forget_change
from vpn.agent.system import stamps
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.agent.system.stamps import Stamp

RATE: Final = 10.0  # sessions a second, on the whole host
_BURST: Final = 5  # sessions at once
QUIET: Final = 3.0  # seconds without another change, so that several new sites cause one reconnect
_LONGEST_WAIT: Final = 30.0  # seconds to wait for such a pause
_LISTED_AFTER: Final = 10.0  # seconds: clients that connected just before the change are listed by then
_MIN_AGE: Final = 3  # seconds of a session: before, the script that records the pushed options may still run
_RETRY_AFTER: Final = 30.0  # seconds between two reconnects of one session

_Clock = Callable[[], float]


@dataclass
class RateLimit:
    """Rate limit for reconnects: `RATE` a second with jitter, and at most `_BURST` at once."""

    clock: _Clock = time.monotonic
    _next: float = 0.0

    def take(self, wanted: int) -> int:
        """Take up to `wanted` from the limit and return how many were granted."""
        now = self.clock()
        # Unused time adds up to one burst at most.
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
    """State between two runs; none of it is needed after a restart of the agent."""

    host: Host
    hubs: Callable[[], list[str]]
    rate_limit: RateLimit = field(default_factory=RateLimit)
    # By session that had to reconnect: the digest of the expected options, and the time.
    _ended: dict[tuple[str, str, str], tuple[str, float]] = field(default_factory=dict)
    _waiting_since: dict[str, float] = field(default_factory=dict)
    # By hub whose sessions have all options: the stamp of its directory at that time.
    _complete: dict[str, Stamp] = field(default_factory=dict)

    def run(self) -> int:
        """Let some clients with outdated options reconnect; return how many."""
        found = [outdated for hub in self.hubs() for outdated in self._outdated(hub)]
        # Sites first: one router carries many users.
        random.shuffle(found)
        found.sort(key=lambda each: not each.is_site)
        chosen = found[: self.rate_limit.take(len(found))]
        return sum(self._end(each) for each in chosen)

    def _outdated(self, hub: str) -> Iterator[_Outdated]:
        layout = Layout(self.host.state.openvpn(hub))
        stamp = stamps.of((str(layout.directory),))
        if stamp is not None and self._complete.get(hub) == stamp:
            return
        noted = changed_at(layout)
        if noted is None and stamp is not None:
            self._complete[hub] = stamp
        if noted is None or not self._is_quiet(hub, noted):
            return
        pushed = Pushed(self.host.names(hub), layout)
        is_complete, left = True, 0
        for listener in LISTENERS:
            if not layout.config(listener).exists():
                continue
            try:
                sessions = openvpn_management.sessions(layout.socket(listener))
            except NoAnswer:
                is_complete = False
                continue
            for session in sessions:
                if pushed.is_outdated(listener, session):
                    left += 1
                    yield from self._due(hub, listener, session, pushed)
        if is_complete and not left and not 0 <= time.time() - noted < _LISTED_AFTER:
            # Skip a hub that is being changed: the next run follows soon.
            with suppress(BusyError), hub_lock(self.host.state.directory, hub, 0.0):
                forget_change(layout, noted)
                self._ended = {key: ended for key, ended in self._ended.items() if key[0] != hub}

    def _is_quiet(self, hub: str, noted: float) -> bool:
        """Return True after a pause without changes, or if there was no pause for too long."""
        if not 0 <= time.time() - noted < QUIET:
            self._waiting_since.pop(hub, None)
            return True
        return time.monotonic() - self._waiting_since.setdefault(hub, time.monotonic()) > _LONGEST_WAIT

    def _due(self, hub: str, listener: str, session: Session, pushed: Pushed) -> Iterator[_Outdated]:
        expected = pushed.expected(listener, session.common_name)
        if expected is None or 0 <= time.time() - session.connected_since < _MIN_AGE:
            return
        outdated = _Outdated(hub, listener, session, expected.digest, expected.is_site)
        digest, at = self._ended.get(outdated.key, ("", -_RETRY_AFTER))
        # A session that reconnected for the same options already is left alone: another reconnect would not help.
        if digest != expected.digest and time.monotonic() - at >= _RETRY_AFTER:
            yield outdated

    def _end(self, outdated: _Outdated) -> int:
        self._ended[outdated.key] = outdated.digest, time.monotonic()
        layout = Layout(self.host.state.openvpn(outdated.hub))
        with suppress(NoAnswer):
            return openvpn_management.restart(layout.socket(outdated.listener), [outdated.session.common_name])
        return 0
