"""Keeps hubs running without the portal: restarts what died, saves endpoints, restores all hubs after a reboot."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

from vpn.agent import wireguard
from vpn.agent.lifecycle import removals
from vpn.agent.lifecycle.ending import close_former_connections, end_trial, expire
from vpn.agent.lifecycle.health import Liveness
from vpn.agent.lifecycle.host import Host
from vpn.agent.lifecycle.host_parts import HostCheck, HostParts
from vpn.agent.lifecycle.lapse import lapse
from vpn.agent.lifecycle.pending import Pending
from vpn.agent.lifecycle.reconcile import FAMILIES
from vpn.agent.lifecycle.renewal import Renewal
from vpn.agent.lifecycle.restore import restore
from vpn.agent.lifecycle.upgrades import Upgrades
from vpn.agent.memory.listing import Listing
from vpn.agent.network import egress, namespace
from vpn.agent.system.lock import BusyError, hub_lock
from vpn.agent.wireguard import uapi
from vpn.wire.errors import AgentError

# A change of one hub may take seconds. The watch skips it meanwhile.
BRIEFLY: Final = 0.05  # seconds to wait for a hub's lock
INTERVAL: Final = 0.4  # seconds between health checks of hubs
HEAL_INTERVAL: Final = 1.0  # the same where they take long, with hundreds of hubs
SWITCH_INTERVAL: Final = 0.6  # seconds between checks for peers that connected over their new protocol
RENEW_INTERVAL: Final = 0.5  # seconds between checks for sessions with outdated pushed options
UPGRADE_INTERVAL: Final = 2.0  # seconds between checks for daemons whose program was replaced
SNAPSHOT_INTERVAL: Final = 2.0  # seconds between snapshots of endpoints
QUIET_SNAPSHOT_INTERVAL: Final = 4.0  # the same for a hub whose endpoints did not change for QUIET_AFTER seconds
QUIET_AFTER: Final = 30.0
# That of a hub with thousands of peers: one snapshot takes milliseconds, at most this share of a core; within a limit.
QUIET_SNAPSHOT_SHARE: Final = 0.0005
LONGEST_SNAPSHOT_INTERVAL: Final = 10.0
LINK_INTERVAL: Final = 5.0  # seconds between checks of the links to the host and of its tables
KEEPALIVES_FOR: Final = 8.0  # seconds of keepalives to peers of a restored hub
RETRY_AFTER: Final = 5.0  # seconds before another attempt to restore a hub
# Hubs restored at once, for example after a reboot. Most of the time, the kernel or a starting daemon is waited for.
RESTORED_AT_ONCE: Final = 4


@dataclass
class Watch:
    """State of the watch between two rounds."""

    host: Host
    endpoints: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=dict)
    # By hub, the times (time.monotonic) of the last change of endpoints and of the earliest next snapshot.
    snapshots: dict[str, tuple[float, float]] = field(default_factory=dict)
    keepalives_since: dict[str, float] = field(default_factory=dict)
    retry_at: dict[str, float] = field(default_factory=dict)
    restoring: set[str] = field(default_factory=set)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(RESTORED_AT_ONCE))
    parts: HostParts = field(init=False)
    check: HostCheck = field(init=False)
    pending: Pending = field(init=False)
    # Until when (time.monotonic) what was read is valid, the hubs that should run, and those whose lease is over.
    _hubs: tuple[float, list[str], set[str]] = (0.0, [], set())
    listing: Listing = field(init=False)
    liveness: Liveness = field(init=False)
    renewal: Renewal = field(init=False)
    upgrades: Upgrades = field(init=False)

    def __post_init__(self) -> None:
        self.parts = HostParts(self.host)
        self.check = HostCheck(self.host)
        self.pending = Pending(self.host)
        self.listing = Listing(self.host.state)
        self.liveness = Liveness(self.host)
        self.renewal = Renewal(self.host, self.listing.hubs)
        self.upgrades = Upgrades(self.host, self.listing.hubs)

    def hubs(self) -> list[str]:
        """Return the names of the hubs that should run, read at most once per INTERVAL."""
        return self._read()[0]

    def _read(self) -> tuple[list[str], set[str]]:
        """Return the hubs that should run, and those whose lease is over."""
        until, hubs, over = self._hubs
        if time.monotonic() >= until:
            every = self.listing.hubs()
            over = self.host.state.leases.over(every)
            hubs = [hub for hub in every if hub not in over] if over else every
            self._hubs = time.monotonic() + INTERVAL, hubs, over
        return hubs, over

    def lapse(self) -> None:
        """Take down each hub whose lease is over."""
        for hub in self._read()[1]:
            if namespace.exists(self.host.names(hub).netns):
                self._begin(hub, self._lapse_now)

    def heal(self) -> None:
        """Restore each hub whose namespace, tunnel or resolver is missing."""
        self.liveness.keep(self.hubs())
        for hub in self.hubs():
            if hub not in self.restoring and not self.liveness.is_alive(hub):
                self._restore(hub)

    def close_former(self) -> None:
        """Close the former connections of peers that connected over their new protocol."""
        for hub in filter(self.pending.switches, self.hubs()):
            for peer_id in self._each(hub, close_former_connections):
                _say(f"{hub}: peer {peer_id} connected over its new protocol")

    def expire(self) -> None:
        """Remove expired peers from their hubs."""
        for hub in filter(self.pending.expires, self.hubs()):
            for peer_id in self._each(hub, expire):
                _say(f"{hub}: peer {peer_id} expired")

    def end_trials(self) -> None:
        """Return hubs to their former settings if nobody confirmed the new ones in time."""
        for hub in filter(self.pending.returns, self.hubs()):
            if self._each(hub, end_trial):
                _say(f"{hub}: returned to its former settings, because the change was not confirmed in time")

    def renew(self) -> None:
        """Let clients with outdated pushed options reconnect."""
        if count := self.renewal.run():
            _say(f"openvpn: {count} session{'s' if count > 1 else ''} told to reconnect for new routes or DNS settings")

    def upgrade(self) -> None:
        """Restart a daemon whose program was replaced."""
        if daemon := self.upgrades.run():
            _say(f"{daemon.hub}: {daemon.name} restarted")

    def _each(self, hub: str, act: Callable[[Host, str, float], set[str]]) -> set[str]:
        """Run `act` for one hub. An error is logged and does not delay other hubs."""
        what = f"{act.__name__} {hub}"
        if time.monotonic() < self.retry_at.get(what, 0.0):
            return set()
        try:
            return act(self.host, hub, BRIEFLY)
        except BusyError:
            return set()  # the next round follows soon
        except (AgentError, OSError) as error:
            self.retry_at[what] = time.monotonic() + RETRY_AFTER
            _say(f"{hub}: {error if isinstance(error, AgentError) else type(error).__name__}")
            return set()

    def relink(self) -> None:
        """Restore each hub whose link to the host is missing."""
        linked = egress.linked(self.host.netns)
        for hub in self.hubs():
            if self.host.names(hub).hostlink not in linked:
                self._restore(hub)

    def guard(self) -> None:
        """Load the host's tables again if they are missing, for example after a restart of nftables.service."""
        if not self.hubs() and not self.host.state.shared.forwarded():
            return
        if self.check.run():
            _say("host: nftables tables restored")
        self._update_families()

    def _update_families(self) -> None:
        """Reconfigure each hub if the address families of the host's default routes have changed."""
        families = " ".join(egress.families(self.host.netns))
        for hub in self.hubs():
            if self.host.state.fingerprints(hub).get(FAMILIES) != families:
                self._restore(hub)

    def snapshot(self) -> None:
        """Save changed endpoints of peers, and stop the keepalives of restored hubs."""
        for hub in self.hubs():
            now = time.monotonic()
            changed_at, due_at = self.snapshots.get(hub, (now, now))
            spent = time.thread_time()
            heard = uapi.peers(self.host.names(hub).wireguard) if now >= due_at else None
            spent = time.thread_time() - spent
            if heard is None:
                continue
            before, is_sending = self.endpoints.get(hub), any(peer.keepalive for peer in heard.values())
            with suppress(BusyError):  # the next round follows soon
                self._remember(hub, heard)
                self._stop_keepalives(hub, is_sending)
            if is_sending or self.endpoints.get(hub) != before:
                changed_at = now
            interval = SNAPSHOT_INTERVAL if now - changed_at < QUIET_AFTER else _quiet_interval(spent)
            self.snapshots[hub] = changed_at, now + interval - SNAPSHOT_INTERVAL / 2
        for gone in self.endpoints.keys() - set(self.hubs()):
            del self.endpoints[gone]
            self.snapshots.pop(gone, None)

    def _restore(self, hub: str) -> None:
        """Restore a hub beside others, unless that is under way or has failed just now."""
        self._begin(hub, self._restore_now)

    def _begin(self, hub: str, act: Callable[[str], None]) -> None:
        if hub not in self.restoring and time.monotonic() >= self.retry_at.get(hub, 0.0):
            self.restoring.add(hub)
            self.pool.submit(self._in_turn, hub, act)

    def _restore_now(self, hub: str) -> None:
        if restore(self.host, hub, BRIEFLY, self.parts):
            _say(f"{hub}: restored")

    def _lapse_now(self, hub: str) -> None:
        if lapse(self.host, hub, BRIEFLY):
            _say(f"{hub}: taken down, because its lease is over")

    def _in_turn(self, hub: str, act: Callable[[str], None]) -> None:
        try:
            act(hub)
            self.retry_at.pop(hub, None)
        except BusyError:
            return  # Another process is changing the hub.
        except AgentError as error:
            self.retry_at[hub] = time.monotonic() + RETRY_AFTER
            _say(f"{hub}: {error}")
        except Exception as error:  # noqa: BLE001
            # The text may contain a key, so only the error's type is logged.
            self.retry_at[hub] = time.monotonic() + RETRY_AFTER
            _say(f"fault: {type(error).__name__}")
        finally:
            self.restoring.discard(hub)

    def _remember(self, hub: str, heard: dict[str, uapi.UapiPeer]) -> None:
        recent = time.time() - wireguard.ACTIVE_WITHIN
        endpoints = {key: (peer.endpoint, peer.latest_handshake > recent) for key, peer in heard.items()}
        known = self.endpoints.get(hub)
        if known is None:
            known = self.host.state.endpoints(hub)
        if endpoints != known and endpoints:
            with hub_lock(self.host.state.directory, hub, BRIEFLY):
                self.host.state.save_endpoints(hub, endpoints)
        self.endpoints[hub] = endpoints

    def _stop_keepalives(self, hub: str, is_sending: bool) -> None:
        if not is_sending:
            self.keepalives_since.pop(hub, None)
        elif time.monotonic() - self.keepalives_since.setdefault(hub, time.monotonic()) > KEEPALIVES_FOR:
            # wg(8) adds a peer that is not there.
            with removals.changing(self.host, hub, BRIEFLY):
                wireguard.stop_keepalives(self.host.names(hub))
            self.keepalives_since.pop(hub)


def _quiet_interval(spent: float) -> float:
    """Return the seconds between two snapshots that take so much processor time, while endpoints do not change."""
    return min(max(QUIET_SNAPSHOT_INTERVAL, spent / QUIET_SNAPSHOT_SHARE), LONGEST_SNAPSHOT_INTERVAL)


def watch(host: Host) -> None:
    """Watch over the hubs of `host` until SIGTERM or SIGINT."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    keeper = Watch(host)
    intervals = {
        keeper.lapse: INTERVAL,
        keeper.heal: INTERVAL,
        keeper.close_former: SWITCH_INTERVAL,
        keeper.expire: INTERVAL,
        keeper.end_trials: INTERVAL,
        keeper.renew: RENEW_INTERVAL,
        keeper.upgrade: UPGRADE_INTERVAL,
        keeper.snapshot: SNAPSHOT_INTERVAL,
    }
    intervals |= {keeper.relink: LINK_INTERVAL, keeper.guard: LINK_INTERVAL}
    due = {check: (interval, 0.0) for check, interval in intervals.items()}
    while not stop.is_set():
        for check, (interval, at) in list(due.items()):
            started = time.monotonic()
            if started < at or stop.is_set():
                continue
            _try(check)
            took = time.monotonic() - started
            # A check that takes long runs less often, within these limits. The end of a process is noticed at once.
            rest = {keeper.heal: HEAL_INTERVAL, keeper.lapse: interval, keeper.close_former: 2 * interval}.get(
                check, 10 * took
            )
            due[check] = (interval, started + max(interval, min(rest, (40 if check == keeper.heal else 10) * took)))
        if keeper.liveness.wait(INTERVAL):
            due[keeper.heal] = INTERVAL, 0.0
    # What is under way is completed; the rest is restored by the next watch.
    keeper.pool.shutdown(cancel_futures=True)


def _try(check: Callable[[], None]) -> None:
    try:
        check()
    except AgentError as error:
        _say(str(error))
    except Exception as error:  # noqa: BLE001
        # An error of one hub must not end the watch. The text may contain a key, so only the error's type is logged.
        _say(f"fault: {type(error).__name__}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
