"""Keeps hubs alive without the portal: heals what died, remembers where peers are, restores all after a reboot."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from vpn.agent import wireguard
from vpn.agent.lifecycle.ending import expire, supersede
from vpn.agent.lifecycle.health import Pulse
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.reconcile import FAMILIES, reconcile_host
from vpn.agent.lifecycle.renewal import Renewal
from vpn.agent.lifecycle.restore import restore
from vpn.agent.lifecycle.upgrades import Upgrades
from vpn.agent.network import egress
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.agent.wireguard import uapi
from vpn.wire.errors import AgentError

# A hub may be changed for seconds: the others are looked after meanwhile.
BRIEFLY: Final = 0.05  # seconds to wait for a hub's lock
INTERVAL: Final = 0.4  # seconds between looks at whether hubs live
FOLLOW_INTERVAL: Final = 0.6  # seconds between looks at who came over a new protocol
RENEW_INTERVAL: Final = 0.5  # seconds between looks at who was pushed what is no longer so
UPGRADE_INTERVAL: Final = 2.0  # seconds between looks at which daemons run what is no longer installed
SNAPSHOT_INTERVAL: Final = 2.0  # seconds between looks at where peers are
LINK_INTERVAL: Final = 5.0  # seconds between looks at the links to the host, and at its rules
CALM_AFTER: Final = 8.0  # seconds of calling peers back
RETRY_AFTER: Final = 5.0  # seconds before a hub that could not be healed is tried again


@dataclass
class Watch:
    """What the watch remembers between two looks."""

    host: Host
    endpoints: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)
    calling_since: dict[str, float] = field(default_factory=dict)
    retry_at: dict[str, float] = field(default_factory=dict)
    pulse: Pulse = field(init=False)
    renewal: Renewal = field(init=False)
    upgrades: Upgrades = field(init=False)

    def __post_init__(self) -> None:
        self.pulse = Pulse(self.host)
        self.renewal = Renewal(self.host)
        self.upgrades = Upgrades(self.host)

    def heal(self) -> None:
        """Restore each hub whose namespace, tunnel or resolver is not there."""
        for hub in self.host.state.hubs():
            if not self.pulse.is_alive(hub):
                self._restore(hub)

    def follow(self) -> None:
        """End the old sessions of peers that came over their new protocol."""
        for hub in self.host.state.hubs():
            for peer_id in self._each(hub, supersede):
                _say(f"{hub}: {peer_id} came over its new protocol")

    def expire(self) -> None:
        """End the peers whose time is over."""
        for hub in self.host.state.hubs():
            for peer_id in self._each(hub, expire):
                _say(f"{hub}: the time of {peer_id} is over")

    def renew(self) -> None:
        """Have sessions begin anew that would be pushed something else now."""
        if count := self.renewal.look():
            _say(f"openvpn: {count} session{'s' if count > 1 else ''} to be pushed what changed")

    def upgrade(self) -> None:
        """Start a daemon anew whose program was replaced."""
        if daemon := self.upgrades.look():
            _say(f"{daemon.hub}: {daemon.name} started anew")

    def _each(self, hub: str, act: Callable[[Host, str, float], set[str]]) -> set[str]:
        """Do it for one hub; that it fails there keeps no other hub waiting."""
        what = f"{act.__name__} {hub}"
        if time.monotonic() < self.retry_at.get(what, 0.0):
            return set()
        try:
            return act(self.host, hub, BRIEFLY)
        except BusyError:
            return set()  # the next look is soon
        except (AgentError, OSError) as error:
            self.retry_at[what] = time.monotonic() + RETRY_AFTER
            _say(f"{hub}: {error if isinstance(error, AgentError) else type(error).__name__}")
            return set()

    def relink(self) -> None:
        """Restore each hub whose link to the host is not there."""
        linked = egress.linked(self.host.place)
        for hub in self.host.state.hubs():
            if self.host.names(hub).hostlink not in linked:
                self._restore(hub)

    def guard(self) -> None:
        """Load the host's rules again if they are gone, as after a restart of nftables.service."""
        if not self.host.state.hubs():
            return
        if reconcile_host(self.host):
            _say("the host's rules: restored")
        self._follow_families()

    def _follow_families(self) -> None:
        """Restore each hub that was set up when the host had ways out over other families than now."""
        families = " ".join(egress.families(self.host.place))
        for hub in self.host.state.hubs():
            if self.host.state.marks(hub).get(FAMILIES) != families:
                self._restore(hub)

    def snapshot(self) -> None:
        """Write down where peers are, when that changed, and stop calling back those of a healed hub."""
        hubs = self.host.state.hubs()
        for hub in hubs:
            heard = uapi.heard(self.host.names(hub).wireguard)
            if heard is None:
                continue
            with suppress(BusyError):  # the next look is soon
                self._remember(hub, heard)
                self._calm(hub, any(peer.keepalive for peer in heard.values()))
        for gone in self.endpoints.keys() - set(hubs):
            del self.endpoints[gone]

    def _restore(self, hub: str) -> None:
        if time.monotonic() < self.retry_at.get(hub, 0.0):
            return
        try:
            if restore(self.host, hub, BRIEFLY):
                _say(f"{hub}: restored")
            self.retry_at.pop(hub, None)
        except BusyError:
            return  # The process that changes it restores it.
        except AgentError as error:
            self.retry_at[hub] = time.monotonic() + RETRY_AFTER
            _say(f"{hub}: {error}")

    def _remember(self, hub: str, heard: dict[str, uapi.Heard]) -> None:
        recent = time.time() - wireguard.TALKING_WITHIN
        endpoints = {key: (peer.endpoint, peer.latest_handshake > recent) for key, peer in heard.items()}
        known = self.endpoints.get(hub)
        if known is None:
            known = self.host.state.endpoints(hub)
        if endpoints != known and endpoints:
            with hub_lock(self.host.state.directory, hub, BRIEFLY):
                self.host.state.save_endpoints(hub, endpoints)
        self.endpoints[hub] = endpoints

    def _calm(self, hub: str, calling: bool) -> None:
        if not calling:
            self.calling_since.pop(hub, None)
        elif time.monotonic() - self.calling_since.setdefault(hub, time.monotonic()) > CALM_AFTER:
            with hub_lock(self.host.state.directory, hub, BRIEFLY):
                wireguard.calm(self.host.names(hub))
            self.calling_since.pop(hub)


def watch(host: Host) -> None:
    """Watch over the hubs of `host` until SIGTERM or SIGINT."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    keeper = Watch(host)
    intervals = {
        keeper.heal: INTERVAL,
        keeper.follow: FOLLOW_INTERVAL,
        keeper.expire: INTERVAL,
        keeper.renew: RENEW_INTERVAL,
        keeper.upgrade: UPGRADE_INTERVAL,
        keeper.snapshot: SNAPSHOT_INTERVAL,
    }
    intervals |= {keeper.relink: LINK_INTERVAL, keeper.guard: LINK_INTERVAL}
    due = {look: (interval, 0.0) for look, interval in intervals.items()}
    while not stop.is_set():
        for look, (interval, at) in list(due.items()):
            started = time.monotonic()
            if started < at or stop.is_set():
                continue
            _try(look)
            took = time.monotonic() - started
            # With very many peers, where they are is asked less often; who lives, never; and who came over a new
            # protocol must not wait for two seconds.
            rest = {keeper.heal: interval, keeper.follow: 2 * interval}.get(look, 10 * took)
            due[look] = (interval, started + max(interval, min(rest, 10 * took)))
        stop.wait(INTERVAL / 2)


def _try(look: Callable[[], None]) -> None:
    try:
        look()
    except AgentError as error:
        _say(str(error))
    except Exception as error:  # noqa: BLE001
        # The watch must not end for one hub's sake. The text of an error may quote a key: only its kind is told.
        _say(f"fault: {type(error).__name__}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
