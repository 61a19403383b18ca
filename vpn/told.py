"""The words of what rows of instances keep (portal.told): what a change did, what steps of operations report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from portal.figures import grouped
from portal.told import Words, in_words, listed_names
from vpn.choices import InstanceState, ProofCause

# The settings that a change names; the first of a sentence gets a capital.
SETTINGS: Final = {
    "name": gettext_lazy("name"),
    "mtu": gettext_lazy("MTU"),
    "pool": gettext_lazy("pool"),
    "pushed_routes": gettext_lazy("pushed routes"),
    "public_dns": gettext_lazy("DNS servers"),
    "split_dns": gettext_lazy("servers of the domains"),
    "domains": gettext_lazy("domains"),
    "dns_custom": gettext_lazy("DNS records"),
    "firewall_policy": gettext_lazy("policy between peers"),
    "management_services": gettext_lazy("services for managing routers"),
    "management_sources": gettext_lazy("who may manage routers"),
}


def _settings_changed(kept: Mapping[str, Any]) -> str:
    labels = [str(SETTINGS.get(name, name)) for name in kept["names"]]
    if kept.get("begins"):
        labels[0] = f"{labels[0][0].upper()}{labels[0][1:]}"
    return _("%(names)s changed") % {"names": listed_names(labels, most=len(labels))}


def _address_moved(kept: Mapping[str, Any]) -> str:
    before, after = (listed_names(kept.get(when, [])) for when in ("before", "after"))
    return _("The hub's address changed from %(before)s to %(after)s") % {"before": before, "after": after}


CHANGES: Final[dict[str, Words]] = {
    "created": gettext_lazy("Created"),
    "rules-added": ngettext_lazy("Rule %(names)s added", "Rules %(names)s added", "count"),
    "rules-changed": ngettext_lazy("Rule %(names)s changed", "Rules %(names)s changed", "count"),
    "rules-removed": ngettext_lazy("Rule %(names)s removed", "Rules %(names)s removed", "count"),
    "rules-moved": gettext_lazy("Order of the rules changed"),
    "settings-changed": _settings_changed,
    "sites-connected": gettext_lazy("%(names)s connected"),
    "sites-disconnected": gettext_lazy("%(names)s disconnected"),
    "subnets-changed": gettext_lazy("Subnets of %(names)s changed"),
    "former-site": gettext_lazy("a former site"),
    "address-moved": _address_moved,
}


def _proven(kept: Mapping[str, Any]) -> str:
    words = _PROVEN[kept.get("where", ""), bool(kept["named"])]
    return str(words % {"place": in_words(kept["place"])})


def _ports_closed(kept: Mapping[str, Any]) -> str:
    ports = ", ".join(
        f"{transport} {listed_names(list(map(str, found)))}" for transport, found in kept["ports"].items()
    )
    words = _(
        "%(ports)s at %(address)s did not answer the portal. Open these ports in the firewall of the server and of its "
        "provider, then try again."
    )
    return words % {"ports": ports, "address": kept["address"]}


def _proof_cause(kept: Mapping[str, Any]) -> str:
    return f"{ProofCause(kept['cause']).label}."


# Where the knock was answered, and whether the hub's resolver was asked. A running hub is ready even if it could not be
# tested from outside. Pages show this until a device connects.
_PROVEN: Final = {
    ("", False): gettext_lazy("A handshake and a ping through %(place)s were answered."),
    ("", True): gettext_lazy("A handshake, a ping and a DNS query for its name through %(place)s were answered."),
    ("firewall", False): gettext_lazy(
        "A handshake and a ping through %(place)s were answered on the server itself; a firewall on the server drops "
        "packets from outside."
    ),
    ("firewall", True): gettext_lazy(
        "A handshake, a ping and a DNS query for its name through %(place)s were answered on the server itself; a "
        "firewall on the server drops packets from outside."
    ),
    ("nat", False): gettext_lazy(
        "A handshake and a ping through %(place)s were answered at the server's own address; the first device will "
        "prove that the router forwards packets."
    ),
    ("nat", True): gettext_lazy(
        "A handshake, a ping and a DNS query for its name through %(place)s were answered at the server's own address; "
        "the first device will prove that the router forwards packets."
    ),
    ("no-right", False): gettext_lazy(
        "A handshake and a ping through %(place)s were answered on the server itself; the first device will prove that "
        "packets from outside arrive."
    ),
    ("no-right", True): gettext_lazy(
        "A handshake, a ping and a DNS query for its name through %(place)s were answered on the server itself; the "
        "first device will prove that packets from outside arrive."
    ),
}

STEPS: Final[dict[str, Words]] = {
    "server-answers": gettext_lazy("%(server)s answers."),
    "ordered-before": gettext_lazy("%(server)s is there already."),
    "ordered": gettext_lazy("%(server)s is ordered: %(size)s."),
    "ordered-in": gettext_lazy("%(server)s is ordered: %(size)s in %(place)s."),
    "booted": gettext_lazy("%(server)s answers at %(addresses)s, and has made a host key of its own."),
    "server-not-ready": gettext_lazy("Its server was not ready yet."),
    "certificates-ready": gettext_lazy(
        "The certificate authority, the hub's certificate and its tls-crypt-v2 key are ready."
    ),
    "both-listen": gettext_lazy(
        "WireGuard listens on UDP port %(wireguard)s, OpenVPN on UDP and TCP port %(openvpn)s."
    ),
    "wireguard-listens": gettext_lazy(
        "WireGuard listens on UDP port %(wireguard)s. OpenVPN starts with the first OpenVPN peer, on UDP and TCP port "
        "%(openvpn)s."
    ),
    "name-waits": gettext_lazy(
        "%(why)s The portal tries again by itself; until the name resolves, profiles carry the hub's address."
    ),
    "name-resolves": gettext_lazy("%(name)s resolves to %(addresses)s."),
    "place": gettext_lazy("%(address)s port %(port)s"),
    "proven": _proven,
    "proven-too": gettext_lazy("So were those through %(place)s."),
    "proof-cause": _proof_cause,
    "ports-closed": _ports_closed,
    "not-proven": gettext_lazy("%(place)s is not proven: %(why)s"),
    # Of vpn.drivers.proof and vpn.drivers.doors.
    "knock-invalid": gettext_lazy("The request is not valid (%(why)s)."),
    "knock-unresolved": gettext_lazy("The name %(host)s does not resolve to an address yet."),
    "knock-no-route": gettext_lazy("There is no route to %(host)s from here."),
    "knock-rejected": gettext_lazy("The hub at %(hub)s answered with another preshared key. Apply it again."),
    "knock-closed": gettext_lazy("Nothing listens at %(hub)s (UDP). Is WireGuard running on the server?"),
    "knock-busy": gettext_lazy("The hub at %(hub)s is under load and puts handshakes off. Try again."),
    "knock-silent": gettext_lazy(
        "The hub at %(hub)s (UDP) did not answer. A firewall on the way may drop the packets, or the hub does not have "
        "these keys yet."
    ),
    "knock-no-echo": gettext_lazy(
        "The hub at %(hub)s completed the handshake, but no packet came back through the tunnel. Check the hub's "
        "firewall and addresses."
    ),
    "knock-no-name": gettext_lazy(
        "The hub at %(hub)s carries packets, but its resolver did not answer for %(name)s. Is dnsmasq running on the "
        "server?"
    ),
    "knock-other-name": gettext_lazy(
        "The hub at %(hub)s carries packets, but its resolver answered %(said)s for %(name)s, not %(expected)s. Apply "
        "it again."
    ),
    "knock-said-nothing": gettext_lazy("nothing"),
    "knock-said-nxdomain": gettext_lazy("that the name does not exist (NXDOMAIN)"),
    "knock-said-invalid": gettext_lazy("with an invalid message"),
    "knock-said-error": gettext_lazy("with %(status)s"),
    "knock-unreachable": gettext_lazy("It cannot be reached (%(error)s)."),
    "knock-openvpn-silent": gettext_lazy("OpenVPN at %(hub)s (%(transport)s) did not answer."),
    "resolver-later": gettext_lazy("The resolver starts with the first peer."),
    "hub-on-server": gettext_lazy(
        "%(server)s has the hub, with the same keys and tunnel addresses, on ports %(first)s and %(last)s."
    ),
    "runs-on": gettext_lazy("The instance runs on %(server)s, %(region)s, since now."),
    "nothing-to-forward": gettext_lazy("There is nothing to forward."),
    "forwards-later": gettext_lazy("%(why)s Once %(server)s answers, its hub ends, and it forwards."),
    "forwards": gettext_lazy("%(server)s forwards UDP and TCP ports %(first)s and %(last)s to %(addresses)s."),
    "none-back": gettext_lazy(
        "No %(clients)s client was back at once: they connect again by themselves, within a quarter of a minute."
    ),
    "back": ngettext_lazy(
        "%(back)s of %(count)s %(clients)s client was back after at most %(seconds)s s.",
        "%(back)s of %(count)s %(clients)s clients were back after at most %(seconds)s s.",
        "count",
    ),
    "rebuilt": gettext_lazy("The hub was removed from its server and built there anew."),
    "rebuilt-on": gettext_lazy("The hub was removed from %(server)s and built there anew."),
    "no-server": gettext_lazy("It had no server yet."),
    "left-on-lost": gettext_lazy("%(server)s is lost. What it has of the hub is removed as soon as it answers."),
    "left-on-compromised": gettext_lazy(
        "%(server)s was compromised. What it has of the hub ends when it is switched off."
    ),
    "hub-gone": gettext_lazy("Interfaces, namespace and keys are gone from the server."),
    "instance-deleting": gettext_lazy("It is being deleted."),
    "instance-never-created": gettext_lazy("It was never created. Its admin can try again, or delete it."),
    "attempt-failed": gettext_lazy("The last attempt failed, as its progress page says. It is tried again."),
    "applied": gettext_lazy("Changed: %(parts)s."),
    "undone": gettext_lazy("Undone: %(drift)s"),
    "applied-before": gettext_lazy("The server had everything already."),
}


def _peers(kept: Mapping[str, Any]) -> str:
    count = kept["count"]
    return ngettext("%(count)s peer", "%(count)s peers", count) % {"count": grouped(count)}


def _summary(kept: Mapping[str, Any]) -> str:
    return "; ".join(map(in_words, kept["parts"]))


def _two(first: Promise, second: Promise) -> Words:
    """Words of two sentences: why something is refused, and what to do next."""
    return lambda kept: f"{first % kept} {second}"


def _not_movable(kept: Mapping[str, Any]) -> str:
    words = _("An instance that is %(state)s cannot be moved or rebuilt. Wait until it is ready.")
    return words % {"state": str(InstanceState(kept["state"]).label).lower()}


# Why a job could not begin to move or rebuild a hub. Forms and programs show the same sentences.
MOVE_REFUSALS: Final[dict[str, Words]] = {
    "no-other-server": _two(
        gettext_lazy("%(region)s has no other server that is ready and has room."),
        gettext_lazy("Choose another region, or ask the operator."),
    ),
    "still-forwards": _two(
        gettext_lazy("%(server)s still forwards this hub's ports to where it runs now."),
        gettext_lazy("End the forwarding on the Settings page first, or choose another region."),
    ),
    "no-cloud-account": _two(
        gettext_lazy("%(region)s has no cloud account."), gettext_lazy("Ask the operator to add one.")
    ),
    "move-under-way": gettext_lazy("This instance is being moved or rebuilt already."),
    "not-movable": _not_movable,
    "trial-running": _two(
        gettext_lazy("A change of this instance's firewall or routes is waiting for confirmation."),
        gettext_lazy("Keep it or return to the former settings first."),
    ),
}


# The line of an apply: what it carries.
SUMMARIES: Final[dict[str, Words]] = {
    "summary": _summary,
    "everything": gettext_lazy("Settings and all peers"),
    "firewall": gettext_lazy("Firewall"),
    "revocations": gettext_lazy("Revoked certificates"),
    "no-change": gettext_lazy("No change for the hub"),
    "peers-added": gettext_lazy("%(names)s added"),
    "peers-changed": gettext_lazy("%(names)s changed"),
    "peers-shut-out": gettext_lazy("%(names)s shut out"),
    "peers-removed": gettext_lazy("%(names)s removed"),
    "peers": _peers,
}
