"""The firewall's part in an exit: which packets leave through a site, and what may come back.

A packet is marked if its source is a client that chose the exit, and if it would leave through the host otherwise. So
private networks, the server and everything that the hub routes stay as they are. The mark selects the routing table
(see network.exits), and the forward chain drops a marked packet that would leave by any other interface.

Replies of the internet come through the site's tunnel. The reverse path check knows no such route and drops them,
unless they belong to an accepted flow. So nothing on the internet reaches a client through the site by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vpn.agent.firewall.sets import FAMILIES, AddressSet, single_addresses
from vpn.agent.memory.names import Names
from vpn.agent.network.exits import MARK
from vpn.wire.intervals import is_single
from vpn.wire.peers import EXIT_CLIENT, Peer

# A packet of a client that chose the exit, in front of the routing decision.
_CHAIN: Final = "exit_mark"
_UNMARKED: Final = "0xfffffffd"
_PROTOCOLS: Final = {4: "ip", 6: "ip6"}


def sets(peers: Iterable[Peer]) -> dict[str, AddressSet]:
    """Return the addresses of the clients that chose the exit, by set name."""
    clients = [peer for peer in peers if peer.exit == EXIT_CLIENT]
    own = [network for peer in clients for network in peer.networks if is_single(network)]
    return {f"exit_v{each}": AddressSet(each, False, frozenset(single_addresses(own, each))) for each in FAMILIES}


def marking(names: Names, tunnels: str) -> dict[str, tuple[str, list[str]]]:
    """Return the chain that marks packets, after the sources were checked."""
    rules = [
        f"iifname {tunnels} {protocol} saddr @exit_v{family} {_outside(protocol, family)} "
        f'fib daddr oifname "{names.uplink}" meta mark set meta mark | {MARK}'
        for family, protocol in _PROTOCOLS.items()
    ]
    return {_CHAIN: ("\t\ttype filter hook prerouting priority mangle + 1; policy accept;\n", rules)}


def replies(names: Names, accepted: str, errors: Iterable[str]) -> list[str]:
    """Return the rules for what comes back through the site's tunnel, in front of the reverse path check."""
    found = []
    for (family, protocol), kinds in zip(_PROTOCOLS.items(), errors, strict=True):
        to_client = f'iifname "{names.wireguard}" {protocol} daddr @exit_v{family}'
        found.append(f"meta mark {accepted} {to_client} accept")
        found.append(f"ct state related {to_client} {protocol} saddr != @private_v{family} {kinds} accept")
    return found


def jump() -> list[str]:
    """Return the rule of the forward chain that sends marked packets to the chain `exit`."""
    return [f"meta mark & {MARK} == {MARK} goto exit"]


def leaving(names: Names, accepted: str, binding: str) -> list[str]:
    """Return the rules of the chain `exit`: as for packets to the internet through the host, whatever the policy."""
    return [
        f'oifname != "{names.wireguard}" drop',
        f"meta mark set meta mark & {_UNMARKED}",
        f"meta mark {accepted} accept",
        "ct state invalid,related,untracked drop",
        "ct direction reply drop",
        f"meta mark set iifname . oifname map @{binding}",
        "meta l4proto tcp ct original proto-dst 25 drop",
        *(f"meta nfproto ipv{family} jump rules_v{family}" for family in FAMILIES),
        "goto allowed",
    ]


def _outside(protocol: str, family: int) -> str:
    return " ".join(f"{protocol} daddr != @{name}_v{family}" for name in ("private", "opened", "server"))
