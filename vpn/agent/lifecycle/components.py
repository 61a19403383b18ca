"""The components of a hub besides its namespace, all with the same interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from vpn.agent import dns, firewall, openvpn, wireguard
from vpn.agent.memory.hub import Hub
from vpn.wire.peers import Peer
from vpn.wire.spec import HubSpec


class Component(Protocol):
    """The interface of a component's package."""

    def ensure(self, hub: Hub, spec: HubSpec, /) -> bool:
        """Make the component match `spec`; return True if anything changed. Raises AgentError."""
        ...

    def change(self, hub: Hub, spec: HubSpec, before: Mapping[str, Peer], after: Mapping[str, Peer], /) -> bool:
        """Replace the peers `before` by those `after`, as in `spec`; return True if anything changed.

        Assumes that the hub matches its saved state. Raises AgentError.
        """
        ...

    def remove(self, hub: Hub, /) -> bool:
        """Remove the component; return True if it existed. Calling it twice is harmless."""
        ...

    def is_alive(self, hub: Hub, /) -> bool:
        """Return True if everything configured runs, or if nothing is configured."""
        ...


# In the order of removal: the firewall is removed last.
COMPONENTS: Final[Mapping[str, Component]] = {
    "openvpn": openvpn,
    "dns": dns,
    "wireguard": wireguard,
    "firewall": firewall,
}
