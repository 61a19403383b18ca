"""The words for listeners that devices cannot reach, or that are not proven reachable."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vpn.choices import Listener, ProofCause
from vpn.constants import FIRST_PORT, LAST_PORT
from vpn.models import Instance
from vpn.needs import Need
from vpn.presenters.lists import joined
from vpn.presenters.needs.words import Words, address_of


def unreachable(need: Need) -> Words:
    """Devices cannot reach listeners of the hub, for the same cause at each address of the need's proofs."""
    message, step = _why_unreachable(need)
    if need.is_partial:
        return Words(_("Devices cannot reach part of the hub"), message, step, chip=_("Partly unreachable"))
    return Words(_("Devices cannot reach the hub"), message, step, chip=_("Unreachable"))


def address_unreachable(need: Need) -> Words:
    """Devices cannot reach listeners of the hub at an address that is not the first, such as the IPv6 one."""
    message, step = _why_unreachable(need)
    title = _("Devices cannot reach the hub at %(address)s") % {"address": need.proofs[0].address}
    return Words(title, message, step, tone="waiting")


def _why_unreachable(need: Need) -> tuple[str, str]:
    """The cause in words, and what to do."""
    listeners = {proof.listener for proof in need.proofs}
    addresses = dict.fromkeys(proof.address or address_of(need.instance) for proof in need.proofs)
    named = {"ports": ports_of(need.instance, listeners), "address": joined(list(addresses)), "all_ports": _all_ports()}
    if any(proof.cause == ProofCause.CLOSED for proof in need.proofs):
        message = ngettext(
            "%(ports)s at %(address)s does not answer the portal over the internet.",
            "%(ports)s at %(address)s do not answer the portal over the internet.",
            len(listeners),
        )
        step = _(
            "Open %(ports)s, or %(all_ports)s for all hubs, in the firewall of the server and of its provider. The "
            "portal knocks twice a minute."
        )
        return message % named, step % named
    if not any(proof.cause == ProofCause.FIREWALL for proof in need.proofs):
        message = ngettext(
            "%(ports)s at %(address)s does not answer, not even on the server.",
            "%(ports)s at %(address)s do not answer, not even on the server.",
            len(listeners),
        )
        return message % named, _("Look at the server: does the hub run there? The portal knocks twice a minute.")
    message = ngettext(
        "%(ports)s at %(address)s answers on the server itself, but not to packets from outside. Most likely a "
        "firewall on the server drops them.",
        "%(ports)s at %(address)s answer on the server itself, but not to packets from outside. Most likely a "
        "firewall on the server drops them.",
        len(listeners),
    )
    step = _(
        "Open %(ports)s in the server's firewall, or %(all_ports)s, for all hubs. Where its rules name an interface, "
        "the portal cannot tell: then the first device that connects proves it. The portal knocks twice a minute."
    )
    return message % named, step % named


def unproven(need: Need) -> Words:
    """The portal cannot find out whether devices reach listeners of the hub."""
    causes = {proof.cause for proof in need.proofs}
    if ProofCause.NAT in causes:
        message = _(
            "%(address)s is not an address of the server itself, and packets from the server to it do not come back. "
            "Most likely a router in front translates addresses (NAT) and does not lead back. The hub runs; whether "
            "%(ports)s can be reached from outside cannot be told from here."
        )
        step = _(
            "Let the router forward %(ports)s to the server, or %(all_ports)s, for all hubs. Then prove it with a "
            "device: the first one that connects does."
        )
    elif ProofCause.WAITING in causes:
        message = _("The hub's address is %(address)s now, and was not knocked on there yet.")
        step = _("The portal does so by itself, twice a minute.")
    else:
        message = _("The hub runs, but the portal may not knock on %(ports)s from outside of the server.")
        step = _(
            "Let %(ports)s in, or %(all_ports)s, for all hubs. Then prove it with a device: the first one that "
            "connects does."
        )
    named = {
        "address": address_of(need.instance),
        "ports": ports_of(need.instance, {proof.listener for proof in need.proofs}),
        "all_ports": _all_ports(),
    }
    title = _("Not proven from outside")
    return Words(title, message % named, step % named, tone="waiting", chip=title)


def ports_of(instance: Instance, listeners: Iterable[str]) -> str:
    """The ports of some listeners, grouped as in a firewall rule: "UDP 20000 and 20001, TCP 20001"."""
    ports = ports_by_transport(instance, listeners)
    return ", ".join(f"{transport} {joined(list(map(str, found)))}" for transport, found in ports.items())


def ports_by_transport(instance: Instance, listeners: Iterable[str]) -> dict[str, list[int]]:
    """The ports of some listeners in their order, by UDP and TCP."""
    ports: dict[str, list[int]] = {}
    of = {
        Listener.WIREGUARD: ("UDP", instance.wireguard_port),
        Listener.OPENVPN_UDP: ("UDP", instance.openvpn_port),
        Listener.OPENVPN_TCP: ("TCP", instance.openvpn_port),
        Listener.OPENVPN_COMPAT: ("TCP", instance.compat_port),
    }
    for listener in listeners:
        transport, port = of[Listener(listener)]
        ports.setdefault(transport, []).append(port)
    return {transport: sorted(ports[transport]) for transport in ("UDP", "TCP") if transport in ports}


def _all_ports() -> str:
    return _("%(first)d-%(last)d, UDP and TCP") % {"first": FIRST_PORT, "last": LAST_PORT}
