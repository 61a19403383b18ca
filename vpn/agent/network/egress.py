"""The link from the hub's namespace to the host: a veth pair, masqueraded at both ends, and the host's filter for it.

The host has one nftables table, `inet vpnhub`, for the links of all hubs. It is a second line of defence after the
hub's own firewall, and the only one that protects the host's addresses. Through a link, a hub reaches on the host only
the portal, if it runs there, and behind the host only those private networks that are opened for the hub.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

from vpn.agent.memory.hub import Hub
from vpn.agent.memory.names import HOSTLINK, Link, Names
from vpn.agent.network import openings
from vpn.agent.network.netns_view import NetnsView
from vpn.agent.system import inside, nft, sysctl
from vpn.agent.system.command import Netns
from vpn.wire import codes
from vpn.wire.finding import Finding
from vpn.wire.reserved import LINKS_V4, LINKS_V6, PRIVATE_V4, PRIVATE_V6
from vpn.wire.server_side import ServerSide, of_family

HOST_TABLE: Final = "vpnhub"
HUB_TABLE: Final = "hub_egress"

_FORWARDING: Final = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}

# Without a link-local address the kernel does not send neighbour solicitations for packets that it forwards (RFC 4861).
_LINK_LOCAL: Final = ("fe80::1/64", "fe80::2/64")

# A public address in each family. Only the route to it is looked up; nothing is sent there.
_OUTSIDE: Final = {"ipv4": "9.9.9.9", "ipv6": "2620:fe::9"}

_FAMILIES: Final = ((4, "ip"), (6, "ip6"))

_HOST_BODY: Final = f"""\
  set private_v4 {{
    type ipv4_addr
    flags interval
    elements = {{ {nft.elements(PRIVATE_V4)} }}
  }}
  set private_v6 {{
    type ipv6_addr
    flags interval
    elements = {{ {nft.elements(PRIVATE_V6)} }}
  }}
  chain input {{
    type filter hook input priority filter - 5; policy accept;
    iifname != "vh-*" accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
    meta l4proto tcp iifname . ip daddr . tcp dport @portal_v4 accept
    meta l4proto tcp iifname . ip6 daddr . tcp dport @portal_v6 accept
    drop
  }}
  chain forward {{
    type filter hook forward priority filter - 5; policy accept;
    iifname "vh-*" oifname "vh-*" drop
    iifname "vh-*" jump from_hub
    oifname "vh-*" ct state established,related accept
    oifname "vh-*" drop
  }}
  chain from_hub {{
    meta nfproto ipv4 ip saddr != {LINKS_V4} drop
    meta nfproto ipv6 ip6 saddr != {LINKS_V6} drop
    ct state invalid drop
    meta l4proto tcp ct status dnat iifname . ct original ip daddr . ct original proto-dst @portal_v4 accept
    iifname . ip daddr @opened_v4 accept
    iifname . ip6 daddr @opened_v6 accept
    ip daddr @private_v4 drop
    ip6 daddr @private_v6 drop
    tcp dport 25 drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {LINKS_V4} oifname != "vh-*" masquerade
    ip6 saddr {LINKS_V6} oifname != "vh-*" masquerade
  }}
"""


def ensure_host(host: Netns, fingerprints: dict[str, str], servers: Mapping[str, ServerSide]) -> bool:
    """Enable forwarding and load the host's table; return True if anything changed.

    `servers` says by hub which addresses of the host and networks behind it the hub's tunnels may reach.
    """
    changed = _ensure_forwarding(host)
    listing = host.try_run([nft.PROGRAM, "-s", "list", "table", "inet", HOST_TABLE])
    before = openings.there(listing.out)
    after = openings.of_others(before, servers)
    for name, elements in openings.wanted(servers).items():
        after[name] |= elements
    if listing.code == 0 and fingerprints.get(HOST_TABLE) == nft.fingerprint(
        _HOST_BODY, openings.without_elements(listing.out)
    ):
        script = openings.changes(HOST_TABLE, before, after)
        if script:
            nft.run(host, script)
        return bool(script) or changed
    there = "No such file" not in listing.err
    delete = f"table inet {HOST_TABLE}\ndelete table inet {HOST_TABLE}\n" if there else ""
    nft.run(host, f"{delete}table inet {HOST_TABLE} {{\n{openings.declarations(after)}{_HOST_BODY}}}\n")
    fingerprints[HOST_TABLE] = nft.fingerprint(_HOST_BODY, _listed(host))
    return True


def _listed(host: Netns) -> str:
    return openings.without_elements(host.run([nft.PROGRAM, "-s", "list", "table", "inet", HOST_TABLE]))


def ensure(hub: Hub, link: Link, families: Collection[str], opened: Collection[str] = ()) -> bool:
    """Ensure the hub's link and its masquerading; return True if something was missing.

    `families` are the address families with a default route on the host. Traffic of another family is rejected, not
    dropped, so that programs try the other family at once. The networks `opened` behind the host stay reachable.
    """
    names = hub.names
    changed = _ensure_link(names, link, hub.is_new)
    body = _hub_body(names, families, opened)
    return nft.ensure_table(names.inside, HUB_TABLE, body, hub.fingerprints, hub.lacks_table(HUB_TABLE)) or changed


def drift(
    names: Names, link: Link, there: NetnsView, fingerprints: Mapping[str, str], host_fingerprints: Mapping[str, str]
) -> list[Finding]:
    """Return how the link, its masquerading and the host's table differ from what was set up."""
    at_hub = frozenset({f"{link.hub_v4}/31", f"{link.hub_v6}/127"})
    found = [codes.EGRESS_ADDRESS_ADDED.of(address) for address in there.added(names.uplink, at_hub)]
    if not nft.is_as_loaded(names.inside, HUB_TABLE, fingerprints):
        found.append(codes.EGRESS_TRANSLATION_CHANGED.of())
    if not _is_host_as_loaded(names.host, host_fingerprints):
        found.append(codes.EGRESS_HOST_RULES_CHANGED.of())
    return found


def _is_host_as_loaded(host: Netns, fingerprints: Mapping[str, str]) -> bool:
    listing = host.try_run([nft.PROGRAM, "-s", "list", "table", "inet", HOST_TABLE])
    wanted = nft.fingerprint(_HOST_BODY, openings.without_elements(listing.out))
    return listing.code == 0 and fingerprints.get(HOST_TABLE) == wanted


def families(host: Netns) -> list[str]:
    """Return which of `ipv4` and `ipv6` have a default route and a usable source address on the host."""
    sources = inside.call(host, lambda: {family: _source(address) for family, address in _OUTSIDE.items()})
    return [family for family, source in sources.items() if _is_usable(source)]


def source_to(host: Netns, address: str) -> str:
    """Return the host's address from which it sends to another; "" if there is no route."""
    source = inside.call(host, lambda: _source(address))
    return source if _is_usable(source) else ""


def _source(address: str) -> str:
    """Return the source address of the route to an address; "" if there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect((address, 9))  # sends nothing
        return str(connection.getsockname()[0])
    return ""


def _is_usable(source: str) -> bool:
    # Some machines have a default route for IPv6 but no global address.
    if not source:
        return False
    address = ipaddress.ip_address(source)
    return not address.is_loopback and not address.is_link_local


def remove(names: Names) -> None:
    """Remove the link. Calling it twice is harmless."""
    names.host.try_run(["ip", "link", "delete", "dev", names.hostlink])


def used_links(host: Netns) -> set[int]:
    """Return the numbers of links whose addresses are in use on the host, also by hubs of another portal."""
    taken = set()
    for line in host.run(["ip", "-o", "-4", "address", "show"]).splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        network = ipaddress.ip_interface(fields[3]).network
        if isinstance(network, ipaddress.IPv4Network) and network.subnet_of(LINKS_V4):
            first = int(network.network_address) - int(LINKS_V4.network_address)
            taken |= set(range(first // 2, (first + network.num_addresses + 1) // 2))
    return taken


def linked(host: Netns) -> set[str]:
    """Return the names of the existing links, at the host's end."""
    names = (name for _, name in inside.call(host, socket.if_nameindex))
    return {name for name in names if name.startswith(HOSTLINK)}


def is_forwarding(host: Netns) -> bool:
    """Return True if the host forwards packets of both families."""
    return sysctl.read(host, _FORWARDING) == _FORWARDING


def _ensure_forwarding(host: Netns) -> bool:
    if is_forwarding(host):
        return False
    # A host that forwards ignores router advertisements and may lose its own default route, unless accept_ra is 2
    # (Documentation/networking/ip-sysctl).
    lines = host.run(["sysctl", "-e", "-a", "-r", r"^net\.ipv6\.conf\..+\.accept_ra$"]).splitlines()
    listening = [name.strip() for name, _, value in (line.partition("=") for line in lines) if value.strip() == "1"]
    keep = [f"{name}=2" for name in listening if not re.search(r"\.conf\.(?:all|default|lo|vh-\w+)\.", name)]
    if keep:
        host.run(["sysctl", "-q", "-w", *keep])
    return sysctl.ensure(host, _FORWARDING)


def _ensure_link(names: Names, link: Link, is_new: bool) -> bool:
    at_host = {f"{link.host_v4}/31", f"{link.host_v6}/127", _LINK_LOCAL[0]}
    at_hub = {f"{link.hub_v4}/31", f"{link.hub_v6}/127", _LINK_LOCAL[1]}
    outer = _words(names.host, names.hostlink)
    inner = [] if is_new else _words(names.inside, names.uplink)
    if _is_up(outer, at_host) and _is_up(inner, at_hub):
        return _remove_foreign(names, [word for word in inner[2:] if word not in at_hub])
    if outer:
        remove(names)
    add_link = f"link add {names.hostlink} type veth peer name {names.uplink} netns {names.netns}"
    _set_up(names.host, names.hostlink, at_host, add_link)
    _set_up(names.inside, names.uplink, at_hub)
    sysctl.write(names.host, {f"net.ipv6.conf.{names.hostlink}.accept_ra": "0"})
    return True


def _remove_foreign(names: Names, addresses: Sequence[str]) -> bool:
    lines = [f"address delete {address} dev {names.uplink}" for address in addresses if not address.startswith("fe80:")]
    if lines:
        names.inside.try_run(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n")
    return bool(lines)


def _words(netns: Netns, interface: str) -> list[str]:
    """Return an interface's name, state and addresses; empty if it does not exist."""
    return netns.try_run(["ip", "-br", "address", "show", "dev", interface]).out.split()


def _is_up(words: list[str], addresses: set[str]) -> bool:
    return len(words) > 2 and words[1] == "UP" and addresses <= set(words[2:])


def _set_up(netns: Netns, interface: str, addresses: set[str], *before: str) -> None:
    lines = [*before]
    lines += [
        f"address add {address} dev {interface}" + (" nodad" if ":" in address else "") for address in sorted(addresses)
    ]
    # Only our link-local address: for a generated one, duplicate address detection takes a second.
    lines.append(f"link set dev {interface} addrgenmode none")
    lines.append(f"link set dev {interface} up")
    netns.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")


def _hub_body(names: Names, families: Collection[str], opened: Collection[str]) -> str:
    # The chain runs after the firewall, so packets that it drops get no answer. An unreachable route would not do: its
    # errors are limited to one a second (net.ipv4.route.error_cost), and connecting programs can miss ICMP errors.
    refused = ""
    for (number, ip), family in zip(_FAMILIES, _OUTSIDE, strict=True):
        if family in families:
            continue
        networks = of_family(opened, number)
        rest = f"{ip} daddr != {{ {nft.elements(networks)} }} " if networks else ""
        for answer in ("meta l4proto tcp reject with tcp reset", "reject with icmpx no-route"):
            refused += f'    oifname "{names.uplink}" meta nfproto {family} {rest}{answer}\n'
    # A chain without rules would still cost time for each packet.
    hook = "    type filter hook forward priority filter + 5; policy accept;\n"
    forward = f"  chain forward {{\n{hook}{refused}  }}\n" if refused else ""
    return f"""\
{forward}  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{names.uplink}" masquerade
  }}
"""
