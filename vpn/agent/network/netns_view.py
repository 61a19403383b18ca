"""The addresses and routes in a hub's namespace, read once for all comparisons."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from vpn.agent.system.command import Netns

MAIN: Final = "main"
_COMMANDS: Final = "address show\nroute show table all\n"
_ADDRESS: Final = re.compile(r"\d+: (?P<interface>\S+) +inet6? (?P<address>\S+)")
_KINDS: Final = frozenset(
    {"unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat", "anycast"}
)


@dataclass(frozen=True)
class Route:
    """A route as ip(8) lists it: `network` with its prefix; `kind` is empty for a unicast route."""

    kind: str
    network: str
    via: str
    device: str
    table: str
    protocol: str
    metric: str

    @property
    def is_v6(self) -> bool:
        """True for an IPv6 route."""
        return ":" in self.network

    @property
    def deletion(self) -> str:
        """The ip(8) command that deletes it."""
        words = [self.kind, self.network]
        named = {
            "via": self.via,
            "dev": self.device if self.kind in ("", "local", "broadcast", "multicast", "anycast") else "",
            "table": self.table,
            "proto": self.protocol,
            "metric": self.metric,
        }
        words += [f"{name} {value}" for name, value in named.items() if value]
        return f"route delete {' '.join(word for word in words if word)}"


@dataclass(frozen=True)
class NetnsView:
    """Addresses with prefix by interface, without link-local ones, and all routes except the kernel's own."""

    addresses: dict[str, frozenset[str]]
    routes: tuple[Route, ...]

    def added(self, interface: str, own: frozenset[str]) -> list[str]:
        """Return the addresses of an interface that are not in `own`."""
        return sorted(self.addresses.get(interface, frozenset()) - own)


EMPTY: Final = NetnsView({}, ())


def read(netns: Netns) -> NetnsView:
    """Return the addresses and routes in a namespace."""
    addresses: dict[str, set[str]] = {}
    routes = []
    for line in netns.run(["ip", "-o", "-batch", "-"], _COMMANDS).splitlines():
        if found := _ADDRESS.match(line):
            if not found["address"].startswith("fe80:"):
                addresses.setdefault(found["interface"], set()).add(found["address"])
        elif line and " proto kernel " not in line:
            routes.append(_route(line))
    return NetnsView({interface: frozenset(there) for interface, there in addresses.items()}, tuple(routes))


def _route(line: str) -> Route:
    fields = line.replace("\\", " ").split()
    kind = fields.pop(0) if fields[0] in _KINDS else ""
    words = dict(reversed(list(pairwise(fields))))  # reversed: if a word occurs twice, the first one wins
    # Only IPv6 routes have a preference (RFC 4191), and ip(8) always lists it.
    is_v6 = ":" in line or "pref" in words
    return Route(
        kind="" if kind == "unicast" else kind,
        network=_network(fields[0], is_v6),
        via=words.get("via", ""),
        device=words.get("dev", ""),
        table=words.get("table", MAIN),
        protocol=words.get("proto", "boot"),
        metric=words.get("metric", ""),
    )


def _network(text: str, is_v6: bool) -> str:
    if text == "default":
        return "::/0" if is_v6 else "0.0.0.0/0"
    return text if "/" in text else str(ipaddress.ip_network(text))
