"""What a hub is made of beside its namespace, all with the same face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.memory.hub import Hub
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec


class Component(Protocol):
    """The face of a component's package."""

    def ensure(self, hub: Hub, spec: HubSpec, /) -> bool:
        """Compare with `spec`, make it so, and return whether it was not. Raises AgentError."""
        ...

    def change(self, hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer], /) -> bool:
        """Turn the peers `before` into those `after`, which `spec` has already; return whether anything changed.

        The hub is trusted to be as it was saved. Raises AgentError.
        """
        ...

    def remove(self, hub: Hub, /) -> bool:
        """Remove it; return whether it was there. What is gone already is fine."""
        ...

    def is_alive(self, hub: Hub, /) -> bool:
        """Return whether what was set up runs; also where nothing was to be."""
        ...


# In the order in which they are removed: the rules go last.
COMPONENTS: Final[Mapping[str, Component]] = {
    "openvpn": openvpn,
    "dns": dns,
    "wireguard": wireguard,
    "firewall": firewall,
}
