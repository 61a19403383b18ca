"""Forwarding of a former hub's ports to the server where it runs now, for clients that still use this address.

Packets are translated in the host's own table `inet vpnhub_forward`: the destination becomes the present server, the
source this one, so that replies return here. A WireGuard client that was connected has a port of its own on this
server: with it, the present hub can start a handshake, and the client need not wait until it misses answers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vpn.agent.network import egress
from vpn.agent.system import nft
from vpn.agent.system.command import Netns
from vpn.wire.errors import AgentError
from vpn.wire.forwarding import Forwarding, endpoint_at, parse_endpoint, parse_forwarding

TABLE: Final = "vpnhub_forward"
# The ports at which the present hubs reach clients. Hubs have others (20000 and above).
_CLIENT_PORTS: Final = range(10_000, 20_000)
# Other translated packets leave from these.
_OTHER_PORTS: Final = "32768-60999"
_PACKETS: Final = re.compile(r"packets (\d+)")
_FAMILIES: Final = ((4, "ip", "ipv4"), (6, "ip6", "ipv6"))


@dataclass(frozen=True)
class Forwarded:
    """A forwarding, and by public key the endpoint of each client with its port on this server."""

    forwarding: Forwarding
    clients: Mapping[str, tuple[str, int]]

    @classmethod
    def read(cls, document: Any) -> Forwarded | None:
        """Return it from its saved document; None if that is damaged: the portal sends it again."""
        try:
            clients = {str(key): (str(one[0]), int(one[1])) for key, one in document["clients"].items()}
            return cls(parse_forwarding(document["forwarding"]), clients)
        except (AgentError, KeyError, TypeError, ValueError, AttributeError, IndexError):
            return None

    def document(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "forwarding": self.forwarding.document(),
            "clients": {key: list(one) for key, one in self.clients.items()},
        }

    def endpoints(self) -> dict[str, str]:
        """Return by public key where the present hub reaches each client."""
        own = {":" in address: address for address in self.forwarding.addresses}
        return {
            key: endpoint_at(own["[" in endpoint], port)
            for key, (endpoint, port) in self.clients.items()
            if ("[" in endpoint) in own
        }


def with_ports(endpoints: Mapping[str, str], taken: Collection[int]) -> dict[str, tuple[str, int]]:
    """Return by public key the endpoint of each client and a free port for it; as many as there are ports."""
    free = (port for port in _CLIENT_PORTS if port not in taken)
    return {key: (endpoint, port) for (key, endpoint), port in zip(endpoints.items(), free, strict=False)}


def ensure(host: Netns, forwarded: Iterable[Forwarded], fingerprints: dict[str, str]) -> bool:
    """Load the table for what this server forwards, or remove it; return True if anything changed."""
    hubs = list(forwarded)
    if not hubs:
        fingerprints.pop(TABLE, None)
        there = ("inet", TABLE) in nft.tables(host)
        return nft.remove_tables(host, [("inet", TABLE)] if there else [])
    sources = {address: egress.source_to(host, address) for one in hubs for address in one.forwarding.to}
    return nft.ensure_table(host, TABLE, _body(hubs, sources), fingerprints)


def end_flows(host: Netns, forwarding: Forwarding) -> None:
    """Forget the connections to and from these ports: those from before would stay with this server.

    Over UDP, one is from the port if the hub sent first, for example to a client that had been silent for long.
    """
    for protocol, port, _ in forwarding.ports:
        for end in ("--orig-port-dst", "--orig-port-src") if protocol == "udp" else ("--orig-port-dst",):
            for family in ("ipv4", "ipv6"):
                # It fails if there are none.
                host.try_run(["conntrack", "-D", "-f", family, "-p", protocol, end, str(port)])


def packets(host: Netns, hub: str) -> int | None:
    """Return the number of packets that clients and the present hub answered each other with; None if not forwarded."""
    listed = host.try_run([nft.PROGRAM, "list", "counter", "inet", TABLE, _counter(hub)])
    found = _PACKETS.search(listed.out)
    return int(found[1]) if listed.code == 0 and found else None


def _counter(hub: str) -> str:
    return f"used_{hub}"


def _body(hubs: list[Forwarded], sources: Mapping[str, str]) -> str:
    objects, chains = "", {"prerouting": "", "postrouting": "", "forward": ""}
    for one in hubs:
        objects += f"  counter {_counter(one.forwarding.hub)} {{\n  }}\n"
        for number, ip, family in _FAMILIES:
            address = next((to for to in one.forwarding.to if (":" in to) == (number == 6)), None)
            if address is None or not sources[address]:
                continue
            objects += _maps(one, number, family, sources[address])
            for name, lines in _rules(one, number, ip, family, address).items():
                chains[name] += "".join(f"    {line}\n" for line in lines)
    hooks = {
        "prerouting": "type nat hook prerouting priority dstnat",
        "postrouting": "type nat hook postrouting priority srcnat",
        "forward": "type filter hook forward priority filter - 6",
    }
    return objects + "".join(
        f"  chain {name} {{\n    {hook}; policy accept;\n{chains[name]}  }}\n" for name, hook in hooks.items()
    )


def _maps(one: Forwarded, number: int, family: str, source: str) -> str:
    """Return the maps between clients and their ports here."""
    clients = []
    for endpoint, port in one.clients.values():
        parsed = parse_endpoint(endpoint)
        if parsed is not None and ipaddress.ip_address(parsed[0]).version == number:
            clients.append((parsed, port))
    kind = f"{family}_addr . inet_service"
    there = ", ".join(f"{port} : {address} . {theirs}" for (address, theirs), port in clients)
    back = ", ".join(f"{address} . {theirs} : {source} . {port}" for (address, theirs), port in clients)
    hub, text = one.forwarding.hub, ""
    for name, types, elements in (("there", f"inet_service : {kind}", there), ("back", f"{kind} : {kind}", back)):
        filled = f"    elements = {{ {elements} }}\n" if elements else ""
        text += f"  map {name}_v{number}_{hub} {{\n    type {types}\n{filled}  }}\n"
    return text


def _rules(one: Forwarded, number: int, ip: str, family: str, address: str) -> dict[str, list[str]]:
    forwarding = one.forwarding
    hub, shown = forwarding.hub, f"[{address}]" if number == 6 else address
    # WireGuard's is the first UDP port.
    _, mine, theirs = next(port for port in forwarding.ports if port[0] == "udp")
    to_hub, from_hub = f"{ip} daddr {address} ct status dnat", f"{ip} saddr {address} ct status dnat"
    udp, tcp = (sorted({to for name, _, to in forwarding.ports if name == protocol}) for protocol in ("udp", "tcp"))
    answers = [f"{from_hub} udp sport {{ {nft.elements(udp)} }}", f"{to_hub} udp dport {{ {nft.elements(udp)} }}"]
    answers.append(f"{from_hub} tcp sport {{ {nft.elements(tcp)} }} tcp flags & (syn | rst | fin) == 0x0")
    return {
        "prerouting": [
            f"{ip} saddr {address} udp sport {theirs} dnat {ip} to udp dport map @there_v{number}_{hub}",
            *(
                f"fib daddr type local meta nfproto {family} {name} dport {port} dnat {ip} to {shown}:{to}"
                for name, port, to in forwarding.ports
            ),
        ],
        "postrouting": [
            f"{to_hub} udp dport {theirs} snat {ip} to {ip} saddr . udp sport map @back_v{number}_{hub}",
            *(f"{to_hub} {name} dport {to} masquerade to :{_OTHER_PORTS}" for name, _, to in forwarding.ports),
            f"{from_hub} udp sport {theirs} masquerade to :{mine}",
        ],
        # What one side sends alone does not count: strangers probe ports, and a hub calls clients that are gone.
        "forward": [f'ct direction reply {each} counter name "{_counter(hub)}"' for each in answers],
    }
