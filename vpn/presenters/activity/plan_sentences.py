"""Sentences of a plan: the protocol and ports of a flow, and changes of routes and names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vpn.presenters.lists import shortened


class Way(NamedTuple):
    """The protocol and ports of a flow."""

    protocol: str
    port: str

    def __str__(self) -> str:
        if self.protocol == "icmp":
            return _("by ICMP, such as ping")
        if self.protocol == "icmpv6":
            return _("by ICMPv6, such as ping")
        if self.protocol == "other":
            return _("over protocols other than TCP, UDP and ICMP")
        return self._on_any() if self.protocol == "any" else self._on_one()

    def _on_any(self) -> str:
        first, _dash, last = self.port.partition("-")
        if last:
            return _("on ports %(first)s to %(last)s, TCP and UDP") % {"first": first, "last": last}
        return _("on port %(port)s, TCP and UDP") % {"port": first} if first else ""

    def _on_one(self) -> str:
        first, _dash, last = self.port.partition("-")
        values = {"protocol": self.protocol.upper(), "first": first, "last": last}
        if last:
            return _("on %(protocol)s %(first)s to %(last)s") % values
        return (_("on %(protocol)s %(first)s") if first else _("over %(protocol)s")) % values


def taken_sentences(lines: Iterable[Mapping[str, Any]], name: Callable[[str], str]) -> list[str]:
    """Which networks are routed to the site with the more specific route: a sentence for each pair of sites."""
    together: dict[tuple[str, str, str, bool], list[str]] = defaultdict(list)
    for line in lines:
        together[line["by"], line["within"], line["of"], line["begins"]].append(line["network"])
    return [
        _taken(networks, begins=begins)
        % {"networks": shortened(networks), "by": name(by), "within": within, "of": name(of)}
        for (by, within, of, begins), networks in together.items()
    ]


def _taken(networks: list[str], *, begins: bool) -> str:
    if begins:
        return ngettext(
            "%(networks)s goes to %(by)s; the rest of %(within)s to %(of)s",
            "%(networks)s go to %(by)s; the rest of %(within)s to %(of)s",
            len(networks),
        )
    return ngettext(
        "%(networks)s no longer goes to %(by)s: %(within)s of %(of)s contains it",
        "%(networks)s no longer go to %(by)s: %(within)s of %(of)s contains them",
        len(networks),
    )


def name_sentences(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which names the hub answers differently or asks other servers for, a sentence each."""
    return [_record_sentence(change) if change["kind"] == "record" else _domain_sentence(change) for change in changes]


def _record_sentence(change: Mapping[str, Any]) -> str:
    before, after = [*change["before"]], [*change["after"]]
    if not after:
        return _("%(name)s is no longer answered by the hub") % {"name": change["name"]}
    if not before:
        return _("%(name)s is answered with %(after)s") % {"name": change["name"], "after": shortened(after)}
    values = {"name": change["name"], "after": shortened(after), "before": shortened(before)}
    return _("%(name)s is answered with %(after)s instead of %(before)s") % values


def _domain_sentence(change: Mapping[str, Any]) -> str:
    before, after = [*change["before"]], [*change["after"]]
    names = _("Names in %(domain)s") % {"domain": change["name"]} if change["name"] else _("Names unknown to the hub")
    if not after:
        return _("%(names)s are forwarded to the servers for all other names") % {"names": names}
    if not before:
        return _("%(names)s are forwarded to %(after)s") % {"names": names, "after": shortened(after)}
    values = {"names": names, "after": shortened(after), "before": shortened(before)}
    return _("%(names)s are forwarded to %(after)s instead of %(before)s") % values


def exit_sentences(changes: Iterable[Mapping[str, Any]], name: Callable[[str], str]) -> list[str]:
    """Who reaches the internet another way, and which sites may be chosen for that, a sentence each."""
    return [_exit_words(change["who"], change["site"]) % _named(change, name) for change in changes]


def _named(change: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, str]:
    return {"who": name(change["who"]), "site": name(change["site"]) if change["site"] else ""}


def _exit_words(who: str, site: str) -> str:
    if who.startswith("site:"):
        return _("%(who)s can be chosen as the exit") if site else _("%(who)s is no exit any more")
    if site:
        return _("A device of %(who)s reaches the internet through %(site)s")
    return _("A device of %(who)s reaches the internet through the hub")


def diverted_sentences(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which networks of the internet devices send through the hub, a sentence each."""
    begins = _("%(network)s goes through the hub, out to the internet, for devices with a split tunnel")
    ends = _("%(network)s no longer goes through the hub; devices with a split tunnel reach it directly")
    return [(begins if change["begins"] else ends) % {"network": change["network"]} for change in changes]
