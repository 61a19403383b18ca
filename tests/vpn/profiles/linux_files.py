"""Linux: systemd's files read strictly, by name."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network

from tests.vpn.profiles.router_samples import ROUTER, WIREGUARD
from vpn.profiles import linux
from vpn.profiles.wireguard import WireGuardProfile

Sections = list[tuple[str, list[tuple[str, str]]]]

DEVICE = "vpn_1f2e3d4c"
EVERYTHING = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

# systemd.netdev(5) and systemd.network(5): what may stand where, and how often a section may.
KNOWN = {
    "NetDev": ({"Name", "Kind", "MTUBytes"}, 1),
    "WireGuard": ({"PrivateKey", "PrivateKeyFile", "ListenPort", "FirewallMark"}, 1),
    "WireGuardPeer": ({"PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"}, 1),
    "Match": ({"Name"}, 1),
    "Network": ({"Address", "DNS"}, 1),
    "Route": ({"Destination", "Table", "Metric"}, 99),
    "RoutingPolicyRule": (
        {"Family", "FirewallMark", "InvertRule", "Table", "SuppressPrefixLength", "Priority"},
        2,
    ),
}
REPEATED = {"AllowedIPs", "Address", "DNS"}


def parse(text: str) -> Sections:
    """Read a file of systemd.syntax(7); anything unknown, repeated or joined to the next line is an error."""
    sections: Sections = []
    for line in text.splitlines():
        assert not line.endswith("\\")
        if not line or line.startswith("# "):
            continue
        if found := re.fullmatch(r"\[([A-Za-z]+)\]", line):
            sections.append((found[1], []))
            continue
        key, separator, value = line.partition("=")
        name, entries = sections[-1]
        assert separator
        assert value
        assert "%" not in value
        assert key in KNOWN[name][0], line
        assert key in REPEATED or key not in dict(entries), line
        entries.append((key, value))
    names = [name for name, _ in sections]
    assert all(names.count(name) <= KNOWN[name][1] for name in names)
    return sections


def files(profile: WireGuardProfile = WIREGUARD) -> dict[str, str]:
    return {file.filename: file.content for file in linux.wireguard(profile, ROUTER).files}
