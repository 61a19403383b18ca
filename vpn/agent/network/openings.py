"""Addresses of the server and networks behind it that hubs' tunnels may reach, as set elements of the host's table.

The sets also contain elements of other portals' hubs on the same host. Those stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from vpn.agent.memory.names import HOSTLINK
from vpn.wire.intervals import span_of, summarized
from vpn.wire.server_side import ServerSide, of_family

# The elements by set name.
Elements = dict[str, set[str]]

SETS: Final = {
    "opened_v4": "ifname . ipv4_addr",
    "opened_v6": "ifname . ipv6_addr",
    "portal_v4": "ifname . ipv4_addr . inet_service",
    "portal_v6": "ifname . ipv6_addr . inet_service",
}

_SET: Final = re.compile(r"(\tset (\w+) \{\n(?:\t\t(?!elements)[^\n]*\n)*)\t\telements = \{([^}]*)\}\n")
_HUB: Final = re.compile(rf'"{HOSTLINK}([a-z0-9]+)"')


def wanted(openings: Mapping[str, ServerSide]) -> Elements:
    """Return the elements for the openings of each hub."""
    found: Elements = {name: set() for name in SETS}
    for hub, server in openings.items():
        link = f'"{HOSTLINK}{hub}"'
        for family in (4, 6):
            for network in summarized(map(span_of, of_family(server.networks, family))):
                text = str(network.network_address) if network.num_addresses == 1 else str(network)
                found[f"opened_v{family}"].add(f"{link} . {text}")
            if server.portal_port is not None:
                for address in of_family(server.addresses, family):
                    found[f"portal_v{family}"].add(f"{link} . {address} . {server.portal_port}")
    return found


def there(listing: str) -> Elements:
    """Return the elements in a listing of the host's table."""
    found: Elements = {name: set() for name in SETS}
    for _, name, elements in _SET.findall(listing):
        if name in SETS:
            found[name] = {" ".join(element.split()) for element in elements.split(",")}
    return found


def without_elements(listing: str) -> str:
    """Return a listing of the host's table without the hubs' elements."""
    return _SET.sub(lambda found: found[1] if found[2] in SETS else found[0], listing)


def of_others(elements: Elements, hubs: Collection[str]) -> Elements:
    """Return the elements that belong to none of `hubs`."""
    return {name: {each for each in some if _hub_of(each) not in hubs} for name, some in elements.items()}


def declarations(elements: Elements) -> str:
    """Return the sets in nft syntax, with their elements."""
    lines = []
    for name, kind in SETS.items():
        filled = f"    elements = {{ {', '.join(sorted(elements[name]))} }}\n" if elements[name] else ""
        lines.append(f"  set {name} {{\n    type {kind}\n    flags interval\n{filled}  }}\n")
    return "".join(lines)


def changes(table: str, before: Elements, after: Elements) -> str:
    """Return the nft(8) script that replaces the elements `before` by those `after`; "" if they are equal."""
    lines = []
    for name in SETS:
        for verb, some in (("delete", before[name] - after[name]), ("add", after[name] - before[name])):
            if some:
                lines.append(f"{verb} element inet {table} {name} {{ {', '.join(sorted(some))} }}\n")
    return "".join(lines)


def _hub_of(element: str) -> str:
    found = _HUB.match(element)
    return found[1] if found else ""
