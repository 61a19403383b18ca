"""RouterOS scripts (.rsc): strings, commands, and the blocks that WireGuard and OpenVPN share.

A script holds no variables, so that it may be imported as a file or pasted into a terminal. Every object that it makes
is found again by its comment (or, where the menu has none, by its name), which begins with the router's tag:

    vpn-1f2e3d4c route (Fleet: Berlin)

Names, properties and values are those of `/console inspect` in RouterOS 7.12, 7.17, 7.19, 7.20 and 7.21 and of the
manual of RouterOS 6; what is younger than 7.12 is used only where the site's version allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from vpn.addressing.aliases import Alias
from vpn.choices import Platform
from vpn.platforms.kinds import Version
from vpn.platforms.versions import version_of
from vpn.profiles.accepts import accepts_of
from vpn.profiles.router import Network, SiteRouter, label_of, networks, tag_of
from vpn.router_services import NO_ACCESS, RouterAccess

OLDEST: Version = (7, 12)
OLDEST_6: Version = (6, 49)

_WORD = re.compile(r"[A-Za-z0-9._/:@+-]+")
_KEY = re.compile(r"[a-z0-9-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True)
class Target:
    """The router that a script is for: its tag, the words of its comments, and its version."""

    tag: str
    label: str
    version: Version

    @property
    def is_6(self) -> bool:
        """Does it run RouterOS 6, which has no WireGuard, and no IPv6 by default?"""
        return self.version < (7,)

    def comment(self, role: str) -> str:
        """The comment of the objects in this role, quoted."""
        return quoted(f"{self.tag} {role}" + (f" ({self.label})" if self.label else ""))

    def ours(self, role: str) -> str:
        """The condition that matches our object in this role."""
        return "comment~" + quoted(rf"^{self.tag} {role}( \(|$)")


def target_of(router: SiteRouter, name: str, oldest: Version = OLDEST) -> Target:
    """The target of a site's scripts; an unknown version counts as `oldest`."""
    return Target(tag_of(router), label_of(name), version_of(Platform.ROUTEROS7, router.version) or oldest)


def quoted(text: str) -> str:
    """A string in quotes.

    All characters with a special meaning (a quote, a backslash, a variable, a question mark, which opens the help, a
    line's end, anything but printable ASCII) are escaped, in the manual's notation.
    """
    return '"' + "".join(_character(character) for character in text) + '"'


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character != "?" and character.isascii() and character.isprintable():
        return character
    return "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "replace"))


def word(text: str) -> str:
    """A value that needs no quotes: a number, an address, a network, a name of the portal. Raises ValueError."""
    if not _WORD.fullmatch(text):
        raise ValueError("A plain word was expected.")
    return text


def command(menu: str, verb: str, *selection: str, **properties: str) -> str:
    """One command. The values must be quoted or plain already; `_` in a property's name stands for `-`."""
    parts = [menu, verb, *selection]
    for name, value in properties.items():
        key = name.rstrip("_").replace("_", "-")
        if not _KEY.fullmatch(key):
            raise ValueError("That is no property.")
        parts.append(f"{key}={value}")
    return " ".join(parts)


def found(menu: str, condition: str) -> str:
    """The objects of a menu that match a condition."""
    return f"[{menu} find where {condition}]"


def add_or_set(menu: str, condition: str, **properties: str) -> str:
    """Create the object, or update the existing one, so that it keeps its position and its references."""
    these = found(menu, condition)
    add = command(menu, "add", **properties)
    change = command(menu, "set", these, **properties)
    return f":if ([:len {these}] = 0) do={{ {add} }} else={{ {change} }}"


def add_before(menu: str, condition: str, **properties: str) -> str:
    """Create the object before the first one that matches the condition, or at the end if there is none."""
    these = found(menu, condition)
    first = command(menu, "add", **properties, place_before=f"[:pick {these} 0]")
    last = command(menu, "add", **properties)
    return f":if ([:len {these}] > 0) do={{ {first} }} else={{ {last} }}"


def remove(menu: str, condition: str) -> str:
    """Remove the objects that match the condition; none is fine."""
    return command(menu, "remove", found(menu, condition))


def routes(target: Target, wanted: Iterable[Network], interface: str) -> list[str]:
    """Routes into the tunnel, which replace those of an earlier import."""
    wanted = networks(tuple(wanted))
    lines = [remove("/ip route", target.ours("route"))]
    if not target.is_6:
        lines.append(remove("/ipv6 route", target.ours("route")))
    for network in wanted:
        if isinstance(network, IPv4Network):
            menu = "/ip route"
        elif target.is_6:
            continue
        else:
            menu = "/ipv6 route"
        lines.append(
            command(
                menu, "add", dst_address=word(str(network)), gateway=quoted(interface), comment=target.comment("route")
            )
        )
    return lines


# Actions that can drop a packet, or jump to a chain that does; and actions that can change its source address.
_STOPS = ("drop", "reject", "tarpit", "jump")
_CHANGES = ("masquerade", "src-nat", "netmap", "same", "jump")
# Actions that end the look for a new destination.
_REDIRECTS = ("accept", "dst-nat", "netmap", "redirect", "same", "jump")


def _acting(chain: str, actions: tuple[str, ...]) -> str:
    """The condition that matches rules of the chain with these actions. Dynamic rules are left out."""
    these = " or ".join(f"action={quoted(action)}" for action in actions)
    return f"dynamic=no and chain={quoted(chain)} and ({these})"


def firewall(
    target: Target, interface: str, aliases: Iterable[Alias] = (), access: RouterAccess = NO_ACCESS
) -> list[str]:
    """Accept the tunnel's traffic before the first rule that could drop it: the hub has filtered it already.

    The router itself answers pings, and connections by which it is managed. Packets into the tunnel keep their source
    address, but for those of a LAN that has an alias.
    """
    lines = []
    for family in ("/ip",) if target.is_6 else ("/ip", "/ipv6"):
        menu = f"{family} firewall filter"
        lines.append(remove(menu, target.ours("accept")))
        icmp = "icmp" if family == "/ip" else "icmpv6"
        for chain, properties in (
            ("forward", {"in_interface": quoted(interface)}),
            ("forward", {"out_interface": quoted(interface)}),
            ("input", {"in_interface": quoted(interface), "protocol": icmp}),
            *(("input", one) for one in _managed(access, 4 if family == "/ip" else 6, interface)),
        ):
            rule = {"chain": chain, "action": "accept", **properties, "comment": target.comment("accept")}
            lines.append(add_before(menu, _acting(chain, _STOPS), **rule))
    nat = "/ip firewall nat"
    rule = {"chain": "srcnat", "action": "accept", "out_interface": quoted(interface)}
    lines.append(remove(nat, target.ours("accept")))
    lines.append(add_before(nat, _acting("srcnat", _CHANGES), **rule, comment=target.comment("accept")))
    return lines + _translation(target, interface, aliases)


def _translation(target: Target, interface: str, aliases: Iterable[Alias]) -> list[str]:
    """Translate aliases one to one, before any other rule of NAT. They replace those of an earlier import."""
    nat = "/ip firewall nat"
    lines = [remove(nat, target.ours("alias"))]
    for alias in aliases:
        lan, subnet = word(str(alias.lan)), word(str(alias.subnet))
        out = {"out_interface": quoted(interface), "src_address": lan, "to_addresses": subnet}
        into = {"in_interface": quoted(interface), "dst_address": subnet, "to_addresses": lan}
        for chain, actions, rule in (("srcnat", ("accept", *_CHANGES), out), ("dstnat", _REDIRECTS, into)):
            values = {"chain": chain, "action": "netmap", **rule, "comment": target.comment("alias")}
            lines.append(add_before(nat, _acting(chain, actions), **values))
    return lines


def _managed(access: RouterAccess, version: int, interface: str) -> list[dict[str, str]]:
    """The rules by which the router is managed, of one address family."""
    return [
        {
            "in_interface": quoted(interface),
            "protocol": word(each.protocol),
            "dst_port": ",".join(map(word, each.ports)),
            "src_address": word(network),
        }
        for each in accepts_of(access)
        if each.version == version
        for network in each.networks
    ]


def script(title: str, *sections: tuple[str, list[str]]) -> str:
    """The file: a title, sections with their headings, one command a line."""
    lines = [f"# {label_of(title)}", "# Importing it again brings everything up to date and doubles nothing."]
    for heading, commands in sections:
        if commands:
            lines += ["", f"# {heading}", *commands]
    return "\n".join(lines) + "\n"


def removal(target: Target) -> list[str]:
    """Remove everything that either script created, and nothing else, in the order of dependencies."""
    lines = []
    families = ("/ip",) if target.is_6 else ("/ip", "/ipv6")
    for family in families:
        lines.append(remove(f"{family} route", target.ours("route")))
        lines.append(remove(f"{family} firewall filter", target.ours("accept")))
    lines.append(remove("/ip firewall nat", target.ours("accept")))
    lines.append(remove("/ip firewall nat", target.ours("alias")))
    if not target.is_6:
        lines += wireguard_removal(target)
    return lines + openvpn_removal(target)


def wireguard_removal(target: Target) -> list[str]:
    """Remove what only the script for WireGuard creates."""
    return [
        remove("/routing rule", target.ours("rule")),
        remove("/routing table", target.ours("table")),
        remove("/ip address", target.ours("address")),
        remove("/ipv6 address", target.ours("address")),
        remove("/interface wireguard peers", target.ours("peer")),
        remove("/interface wireguard", target.ours("interface")),
    ]


def openvpn_removal(target: Target) -> list[str]:
    """Remove what only the script for OpenVPN creates."""
    return [
        remove("/interface ovpn-client", target.ours("interface")),
        *certificates_removal(target),
    ]


def certificates_removal(target: Target) -> list[str]:
    """Remove our certificates, with their own name or still with their file's, and the files."""
    lines = []
    for part in ("client", "ca"):
        lines.append(remove("/certificate", "name~" + quoted(rf"^{target.tag}-{part}(\.(pem|txt)_0)?$")))
        lines.append(remove("/file", "name~" + quoted(rf"^{target.tag}-{part}\.(pem|txt)$")))
    return lines
