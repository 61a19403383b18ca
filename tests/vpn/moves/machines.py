"""Servers that play agents for moves: each refuses what an agent refuses, and can be silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from vpn import failures
from vpn.choices import Listener, Reachability
from vpn.drivers.base import Found, Knock, Unreachable
from vpn.wire import codes
from vpn.wire.digests import digest
from vpn.wire.errors import DESTROYED, STALE, UNKNOWN_HUB, AgentError
from vpn.wire.forwarding import Forwarding, Handover
from vpn.wire.report import HubReport


@dataclass
class Machine:
    """One server: its hubs with their specs, the tombstones of former ones, and what it forwards."""

    name: str
    hubs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)
    forwards: dict[str, Forwarding] = field(default_factory=dict)
    greeted: list[Handover] = field(default_factory=list)
    packets: int = 0
    is_silent: bool = False
    is_closed: bool = False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Without an answer."""
        self.is_silent = True
        yield
        self.is_silent = False

    def check(self) -> None:
        """Answer, unless it is silent."""
        if self.is_silent:
            raise Unreachable(failures.SERVER_SILENT.of(self.name))

    def apply(self, document: dict[str, Any], *, delta: bool, ahead: bool = False) -> HubReport:
        """Run what is sent, as an agent would."""
        self.check()
        assert not delta
        hub, version = document["hub"], (document["epoch"], document["generation"])
        if document["epoch"] <= self.tombstones.get(hub, 0):
            raise AgentError(DESTROYED, "", codes.HUB_DESTROYED.of())
        if hub in self.hubs and version < (self.hubs[hub]["epoch"], self.hubs[hub]["generation"]):
            raise AgentError(STALE, "", codes.HUB_NEWER.of())
        self.hubs[hub] = document
        return HubReport(hub, *version, digest(document), alive=True, observed_at=0.0)

    def status(self, hub: str, *, peers: bool) -> HubReport:
        """Report without peers."""
        self.check()
        if hub not in self.hubs:
            raise AgentError(UNKNOWN_HUB, "", codes.HUB_UNKNOWN.of())
        return HubReport(hub, self.hubs[hub]["epoch"], self.hubs[hub]["generation"], "", True, 0.0, peers={})

    def destroy(self, hub: str, *, epoch: int, generation: int) -> None:
        """Remove a hub that is not newer."""
        self.check()
        if hub in self.hubs and (self.hubs[hub]["epoch"], self.hubs[hub]["generation"]) > (epoch, generation):
            raise AgentError(STALE, "", codes.HUB_NEWER.of())
        self.tombstones[hub] = max(epoch, self.tombstones.get(hub, 0))
        self.hubs.pop(hub, None)

    def hand_over(self, forwarding: Forwarding) -> Handover:
        """End the hub and forward."""
        self.destroy(forwarding.hub, epoch=forwarding.epoch, generation=forwarding.generation)
        self.forwards[forwarding.hub] = forwarding
        return Handover()

    def greet(self, hub: str, handover: Handover) -> None:
        """Note it."""
        self.check()
        assert hub in self.hubs
        self.greeted.append(handover)

    def end_forwarding(self, hub: str) -> None:
        """Forward no more."""
        self.check()
        self.forwards.pop(hub, None)

    def forwarded_packets(self, hub: str) -> int:
        """Return as many as the test says."""
        self.check()
        if hub not in self.forwards:
            raise AgentError(UNKNOWN_HUB, "", codes.HUB_UNKNOWN.of())
        return self.packets

    def knock(self, knocks: Sequence[Knock], timeout: float) -> list[dict[str, Found]]:
        """Prove WireGuard, unless a firewall is closed."""
        self.check()
        found = Found(Reachability.UNREACHABLE, "closed") if self.is_closed else Found(Reachability.PROVEN)
        return [{Listener.WIREGUARD: found} for _ in knocks]
