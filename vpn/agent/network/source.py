"""Source address selection: on a server with several addresses, a hub sends from the address in its profiles.

A reply leaves from the address that the peer used. A packet that the hub sends first, for example after a crash, would
leave from the address that the route prefers, and a peer's firewall would drop it. A raw chain sets the hub's address
before conntrack, so the packet belongs to the flow that the peer knows. A set remembers peers that use another address
of the server; their packets are not changed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from vpn.agent.system import nft
from vpn.agent.system.command import Netns
from vpn.wire.spec import HubSpec

TABLE: Final = "vpnhub_source"
_ADDRESS: Final = re.compile(r"^\d+: \S+ +inet6? ([0-9a-f.:]+)/", re.MULTILINE)
_REMEMBERED: Final = "10m"
_MOST_REMEMBERED: Final = 65536


@dataclass(frozen=True)
class Source:
    """The public addresses of a hub, the UDP ports that it listens on, and its TCP ports."""

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    tcp_ports: tuple[int, ...] = ()

    @classmethod
    def of(cls, spec: HubSpec) -> Source:
        """Return the source of a spec."""
        ports = {spec.port} | ({spec.openvpn.udp_port} if spec.openvpn is not None else set())
        openvpn = spec.openvpn
        over_tcp = [] if openvpn is None else [port for port in (openvpn.tcp_port, openvpn.compat_port) if port]
        return cls(spec.server.addresses, tuple(sorted(ports)), tuple(sorted(over_tcp)))

    @classmethod
    def read(cls, document: Any) -> Source | None:
        """Return a source from its saved document; None if the document is invalid."""
        try:
            addresses = tuple(str(ip_address(each)) for each in document["addresses"])
            return cls(addresses, tuple(int(port) for port in document["ports"]))
        except (KeyError, TypeError, ValueError):
            return None

    def document(self) -> dict[str, Any]:
        """Return the source as JSON."""
        return {"addresses": list(self.addresses), "ports": list(self.ports), "tcp_ports": list(self.tcp_ports)}


def ensure(host: Netns, documents: Iterable[Any], fingerprints: dict[str, str]) -> bool:
    """Load the table for the sources in `documents`, if they are the host's addresses; return True if it changed."""
    sources = [source for source in map(Source.read, documents) if source is not None]
    body = _body(sources, set(_ADDRESS.findall(host.run(["ip", "-o", "address", "show"]))))
    there = ("inet", TABLE) in nft.tables(host)
    if not body:
        fingerprints.pop(TABLE, None)
        return nft.remove_tables(host, [("inet", TABLE)] if there else [])
    # Compare by fingerprint only: the listing contains the remembered peers.
    if there and nft.is_meant(TABLE, body, fingerprints):
        return False
    before = f"table inet {TABLE}\ndelete table inet {TABLE}\n" if there else ""
    nft.run(host, f"{before}table inet {TABLE} {{\n{body}}}\n")
    fingerprints[TABLE] = nft.fingerprint(body, "")
    return True


def _body(sources: Iterable[Source], own: set[str]) -> str:
    """Return the table's content; "" if no hub needs it."""
    ports: defaultdict[str, set[int]] = defaultdict(set)
    for source in sources:
        for address in source.addresses:
            # Behind NAT, the public address is not one of the host's.
            if address in own:
                ports[address].update(source.ports)
    families = {4: ("ip", "v4", "ipv4_addr"), 6: ("ip6", "v6", "ipv6_addr")}
    used = sorted({ip_address(address).version for address in ports})
    if not used:
        return ""
    sets, arrivals, leaving = "", "", ""
    for family in used:
        _, name, kind = families[family]
        sets += (
            f"  set elsewhere_{name} {{\n    type {kind} . inet_service . inet_service\n    flags dynamic,timeout\n"
            f"    timeout {_REMEMBERED}\n    size {_MOST_REMEMBERED}\n  }}\n"
        )
    for address, numbers in sorted(ports.items()):
        word, name, _ = families[ip_address(address).version]
        listed = ", ".join(map(str, sorted(numbers)))
        arrivals += (
            f"    udp dport {{ {listed} }} {word} daddr != {address} fib daddr type local "
            f"update @elsewhere_{name} {{ {word} saddr . udp sport . udp dport }}\n"
        )
        leaving += (
            f'    oifname != "lo" udp sport {{ {listed} }} {word} saddr != {address} '
            f"{word} daddr . udp dport . udp sport != @elsewhere_{name} {word} saddr set {address}\n"
        )
    return (
        f"{sets}  chain arrivals {{\n    type filter hook prerouting priority raw; policy accept;\n{arrivals}  }}\n"
        f"  chain leaving {{\n    type route hook output priority raw; policy accept;\n{leaving}  }}\n"
    )
