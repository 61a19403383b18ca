"""The part of a HubSpec that decides reachability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Self

from vpn.wire.intervals import address_of
from vpn.wire.reserved import NEVER_V4, NEVER_V6, PRIVATE_V4, PRIVATE_V6
from vpn.wire.rules import ROUTERS, Rule
from vpn.wire.spec import ALLOW, HubSpec

# The owner of pool addresses that are not assigned to a peer.
UNASSIGNED = ""
# The owner of a network behind the hub's server is this prefix with the network.
SERVER = "server "
NEVER = tuple(map(str, (*NEVER_V4, *NEVER_V6)))
PRIVATE = tuple(map(str, (*PRIVATE_V4, *PRIVATE_V6)))


@dataclass(frozen=True)
class End:
    """A peer as the firewall sees it: its own networks, and its tags in rules.

    `hosts` are its own addresses among the networks; they are needed only with the tag `routers`.
    """

    networks: tuple[str, ...]
    tags: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def tags_at(self, version: int, address: int) -> tuple[str, ...]:
        """Return the tags of one of its addresses: `routers` stands for its own addresses alone."""
        if ROUTERS not in self.tags:
            return self.tags
        if any(address_of(host.partition("/")[0]) == (version, address) for host in self.hosts):
            return self.tags
        return tuple(tag for tag in self.tags if tag != ROUTERS)


@dataclass(frozen=True)
class Hub:
    """The peers by id, the rules in order, the policy between peers (`allows`), and the hub's own addresses.

    `addresses` have the prefix length of their pool.
    """

    addresses: tuple[str, ...]
    peers: Mapping[str, End]
    rules: tuple[Rule, ...] = ()
    allows: bool = True
    # Networks behind the hub's server, and the server's own addresses, which no tunnel reaches.
    opened: tuple[str, ...] = ()
    server: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """The hub's tunnel addresses, without the prefix."""
        return tuple(address.partition("/")[0] for address in self.addresses)

    @property
    def pools(self) -> tuple[str, ...]:
        """The networks from which peers get tunnel addresses."""
        return tuple(str(ip_interface(address).network) for address in self.addresses)

    @classmethod
    def of(cls, spec: HubSpec) -> Self:
        """Return the hub of a spec."""
        ends = {
            peer_id: End(peer.networks, peer.tags, peer.hosts if ROUTERS in peer.tags else ())
            for peer_id, peer in spec.peers.items()
        }
        server = spec.server
        return cls(spec.addresses, ends, spec.rules, spec.forwarding == ALLOW, server.networks, server.addresses)
