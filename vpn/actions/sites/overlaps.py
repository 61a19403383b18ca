"""Which networks of an instance's site peers overlap: the database finds them by interval, without reading all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.models import Principal
from vpn.actions.change import lock_instance
from vpn.addressing.networks import Network, contains, is_broad
from vpn.addressing.subnets import Claim
from vpn.choices import PeerType
from vpn.desired.ways import Way, Ways, allowed_behind
from vpn.models import Instance, Peer, PeerNetwork
from vpn.models.peer_network import between_keys, follow_subnets, with_keys
from vpn.validators import parse_network
from vpn.wire.network_keys import is_covered, key_of, keys_around, keys_within, network_of

# At most this many claims within new networks are read: one is enough for a refusal.
_MOST_WITHIN = 500
# At most this many peers are repaired in one transaction; the others in the next run.
_MOST_MENDED = 500


def claims_on(
    instance: Instance, networks: Sequence[Network], *, confirmed: Collection[Network], except_peer: Peer | None
) -> list[Claim]:
    """The claims of other peers that conflict with `networks`.

    These are equal networks and, for networks not in `confirmed`, those that nest with them. The caller holds the lock
    on the instance, so that none is added meanwhile.
    """
    asked = [network for network in networks if network not in confirmed and not is_broad(network)]
    keys = {key_of(network) for network in networks}
    keys.update(key for network in asked for key in keys_around(network))
    # One more for each of the peer's own networks, which are filtered out.
    most = _MOST_WITHIN + (len(except_peer.subnets) if except_peer is not None else 0)
    ids = {*with_keys(instance.pk, keys), *between_keys(instance.pk, [keys_within(one) for one in asked], most)}
    rows = PeerNetwork.objects.filter(pk__in=ids).select_related("peer__site").order_by("peer__created_at", "key")
    if except_peer is not None:
        rows = rows.exclude(peer=except_peer.pk)
    return [Claim(_("the site %(site)s") % {"site": row.peer.label}, network_of(row.key)) for row in rows]


def first_within(instance: Instance, network: Network) -> Claim | None:
    """The first claim of a site peer that lies within a network or equals it."""
    first, last = keys_within(network)
    rows = PeerNetwork.objects.filter(instance=instance, key__gte=first, key__lte=last)
    row = rows.select_related("peer__site").order_by("key").first()
    return Claim(_("the site %(site)s") % {"site": row.peer.label}, network_of(row.key)) if row is not None else None


def way_of(instance: Instance, route: Network) -> Way:
    """Where a route to be pushed leads (vpn.desired.ways), judged by the claims around and within it only."""
    pools: list[Network] = [instance.network_v4, instance.network_v6]
    rows = PeerNetwork.objects.filter(instance=instance).order_by()
    around = rows.filter(key__in=[key_of(route), *keys_around(route, with_broad=True)]).values_list("key", flat=True)
    way = Ways([*pools, *map(network_of, around)], allowed_behind(instance)).of(route)
    if way is not Way.NOWHERE:
        return way
    first, last = keys_within(route)
    within = set(rows.filter(key__gt=first, key__lte=last).values_list("key", flat=True))
    within |= {key_of(pool) for pool in pools if contains(route, pool)}
    # Adjacent networks may cover all of it together.
    return Way.TUNNEL if is_covered(route, within) else way


def repair_networks(instance_id: UUID, *, by: Principal) -> int:
    """Rewrite the rows of networks of peers whose rows differ from their subnets; returns how many peers.

    During an upgrade, a process of an older version changes subnets without these rows. Only differing peers are read
    again under the lock. Raises Instance.DoesNotExist.
    """
    if not (differing := _differing(instance_id)[:_MOST_MENDED]):
        return 0
    with transaction.atomic():
        instance = lock_instance(instance_id)
        differing = _differing(instance_id, differing)
        follow_subnets(Peer.objects.filter(pk__in=differing))
        acted(by, "networks repaired", instance)
    return len(differing)


def _differing(instance_id: UUID, among: Collection[UUID] | None = None) -> list[UUID]:
    """The site peers whose rows differ from their subnets: two queries."""
    sites = Peer.objects.filter(instance=instance_id, type=PeerType.SITE)
    rows = PeerNetwork.objects.filter(instance=instance_id).order_by()
    if among is not None:
        sites, rows = sites.filter(pk__in=among), rows.filter(peer__in=among)
    there: dict[UUID, set[str]] = {}
    for peer_id, key in rows.values_list("peer", "key"):
        there.setdefault(peer_id, set()).add(key)
    return [
        pk
        for pk, subnets in sites.values_list("pk", "subnets")
        if there.get(pk, set()) != {key_of(parse_network(text)) for text in subnets}
    ]
