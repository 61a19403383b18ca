"""A compromised server for staff: what reporting it means, how far the hubs are, and whose profiles are concerned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db.models import Count, F, Q, QuerySet
from django.template.defaultfilters import date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.audit.export import csv_row, harmless
from portal.told import text_in_words
from vpn.actions.servers.compromise import former_hubs_of, hubs_known_to
from vpn.choices import Driver, InstanceState, PeerType, ServerState
from vpn.models import CompromisedHub, Instance, Peer, Server

_COLUMNS: Final = (
    *("organization", "instance", "peer", "type", "protocol", "email"),
    *("last_fetched_at", "new_profile_fetched"),
)


@dataclass(frozen=True)
class HubLine:
    """A hub whose secrets the server has: how many peers it has, how many of them have what they need, and its state.

    `fetched` are those whose new profile was fetched. `is_former`: it was on the server before.
    """

    instance: Instance
    clients: int
    sites: int
    fetched: int = 0
    state: str = ""
    is_done: bool = False
    is_former: bool = False


def hub_lines(server: Server) -> list[HubLine]:
    """The hubs concerned: before the server is reported, those that would be."""
    if server.state != ServerState.COMPROMISED:
        return [*_lines_of(hubs_known_to(server)), *_former_lines(server)]
    anew = Q(instance__peers__delivered_at__gte=F("keys_at"))
    rows = CompromisedHub.objects.filter(server=server).select_related("instance__organization", "instance__server")
    counted: QuerySet[Any] = rows.annotate(**_counts("instance__peers"), fetched=Count("instance__peers", filter=anew))
    return [
        HubLine(row.instance, row.clients, row.sites, row.fetched, _state(row), row.finished_at is not None)
        for row in counted.order_by("instance__organization__name", "instance__name")
    ]


def _lines_of(known: QuerySet[Any]) -> list[HubLine]:
    hubs = known.select_related("organization", "server").annotate(**_counts("peers"))
    return [HubLine(hub, hub.clients, hub.sites) for hub in hubs.order_by("organization__name", "name")]


def _former_lines(server: Server) -> list[HubLine]:
    left = dict(server.former_hubs.values_list("instance", "left_at"))
    words = _("It was on this server until %(day)s.")
    return [
        replace(line, is_former=True, state=words % {"day": date(left[line.instance.pk], "j F Y")})
        for line in _lines_of(former_hubs_of(server))
    ]


def _counts(peers: str) -> dict[str, Count]:
    kinds = {"clients": PeerType.CLIENT, "sites": PeerType.SITE}
    return {name: Count(peers, filter=Q(**{f"{peers}__type": kind})) for name, kind in kinds.items()}


def _state(row: CompromisedHub) -> str:
    """How far the hub is, in a sentence."""
    instance = row.instance
    if row.finished_at is not None:
        return _("It runs with new keys on %(server)s.") % {"server": instance.server}
    if row.keys_at is None:
        return _("It waits for its new keys.")
    if row.peers_at is None:
        return _("Its peers are getting new keys.")
    if row.waits_for:
        return _("It has new keys and waits: %(reason)s") % {"reason": text_in_words(row.waits_for)}
    if instance.state == InstanceState.READY:
        return _("Its server is being told the new keys.")
    return _("It has new keys, and is being created on another server.")


def target_sentence(server: Server) -> str:
    """Where its hubs go, in a sentence."""
    others = server.region.servers.filter(state=ServerState.READY, cordoned=False).exclude(pk=server.pk)
    names = list(others.order_by("name").values_list("name", flat=True)[:5])
    region = server.region.name
    if names:
        told = {"region": region, "servers": ", ".join(names)}
        return _("They are created on other servers of %(region)s that have room: %(servers)s.") % told
    if server.region.driver == Driver.CLOUD:
        return _("They are created on a new server, which is ordered from the cloud.")
    return _("No other server of %(region)s is ready. They wait until there is one.") % {"region": region}


def former_sentence(count: int) -> str:
    """What becomes of hubs that were on the server before."""
    return ngettext(
        "%(count)d of these hubs was on this server before: it stays where it is.",
        "%(count)d of these hubs were on this server before: they stay where they are.",
        count,
    ) % {"count": count}


def plan_lines(server: Server) -> list[str]:
    """What reporting the server as compromised means, and what cannot be undone."""
    lines = hub_lines(server)
    clients, sites = sum(line.clients for line in lines), sum(line.sites for line in lines)
    organizations = {line.instance.organization_id for line in lines}
    former = sum(line.is_former for line in lines)
    return [
        _("%(hubs)d hubs of %(organizations)d organizations get new keys.")
        % {"hubs": len(lines), "organizations": len(organizations)},
        *([former_sentence(former)] if former else []),
        target_sentence(server),
        _("%(clients)d devices and %(sites)d sites connect nowhere until they have their new profile.")
        % {"clients": clients, "sites": sites},
        _("The portal forgets the server's host key and its own key pair for it, and sends it nothing any more."),
        _("Switch the server off yourself: until then its hubs go on there, with their old keys."),
        _("This cannot be undone. The server has to be installed anew, and added as another one."),
    ]


def profiles_as_csv(server: Server) -> Iterator[str]:
    """Yield a head, and a row for each peer whose profile is concerned."""
    yield csv_row(_COLUMNS)
    known: QuerySet[Any] = hubs_known_to(server) | former_hubs_of(server)
    if server.state == ServerState.COMPROMISED:
        known = Instance.objects.filter(compromised_hubs__server=server)
    peers = Peer.objects.filter(instance__in=known).select_related("instance__organization", "member__user", "site")
    for peer in peers.order_by("instance__organization__name", "instance__name", "created_at", "pk").iterator(500):
        yield csv_row([harmless(cell) for cell in _cells(peer)])


def _cells(peer: Peer) -> tuple[str, ...]:
    replaced_at, fetched_at = peer.instance.keys_replaced_at, peer.delivered_at
    is_new = replaced_at is not None and fetched_at is not None and fetched_at >= replaced_at
    return (
        *(peer.instance.organization.name, peer.instance.name, peer.label, peer.type, peer.protocol),
        peer.member.user.email if peer.member is not None else "",
        fetched_at.isoformat() if fetched_at is not None else "",
        "yes" if is_new else "no",
    )
