"""What the peers of hubs amount to: counted once for each observation of a large hub, for all readers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from vpn.choices import PeerType, Protocol
from vpn.constants import HANDSHAKE_TIMEOUT, OBSERVATION_MAX_AGE
from vpn.models import Instance, Peer
from vpn.models.querysets import admitted_filter, seen_filter, tunnel_filter

# Smaller numbers of peers are counted for each reader.
_LARGE: Final = 1000
# A sentence names no more sites.
MOST_NAMED: Final = 3


@dataclass
class PeerFacts:
    """Counts of a hub's peers, as JSON has them."""

    total: int = 0
    sites: int = 0
    # Peers that are connected if the observation is recent.
    tunnels: int = 0
    # Peers that may connect and whose profile was fetched, and how many of the profiles contain each address.
    delivered: int = 0
    hosts: dict[str, int] = field(default_factory=dict)
    # Sites that were connected and are disconnected now; the names and times (ISO 8601) of the first.
    silent: int = 0
    silent_sites: list[tuple[str, str]] = field(default_factory=list)

    def online(self, instance: Instance) -> int:
        """How many peers of this instance are connected: none that is known to be while the hub does not report."""
        return self.tunnels if instance.seen.is_recent else 0

    @property
    def silent_since(self) -> datetime:
        """When the first of the disconnected sites was last seen."""
        return datetime.fromisoformat(self.silent_sites[0][1])


def peer_facts_of(instances: Sequence[Instance]) -> dict[UUID, PeerFacts]:
    """The facts by instance; two queries at most. Observations should be joined.

    Those of large hubs are kept until the next observation or change.
    """
    keys = {instance.pk: _key(instance) for instance in instances}
    known = cache.get_many(keys.values())
    found = {pk: PeerFacts(**known[key]) for pk, key in keys.items() if key in known}
    missing = keys.keys() - found.keys()
    if missing:
        counted = _count(missing)
        if sum(one.total for one in counted.values()) >= _LARGE:
            cache.set_many({keys[pk]: asdict(one) for pk, one in counted.items()}, OBSERVATION_MAX_AGE)
        found |= counted
    return found


def _key(instance: Instance) -> str:
    at = instance.seen.observed_at
    return f"peer-facts:{instance.pk}:{at.timestamp() if at else 0}:{instance.desired_generation}"


def _count(ids: Collection[UUID]) -> dict[UUID, PeerFacts]:
    found = {pk: PeerFacts() for pk in ids}
    admitted, silent = admitted_filter(), _silent_filter()
    rows = Peer.objects.filter(instance__among=ids).order_by().values_list("instance_id", "delivered_host")
    counted = rows.annotate(
        total=Count("pk"),
        sites=Count("pk", filter=Q(type=PeerType.SITE)),
        tunnels=Count("pk", filter=tunnel_filter()),
        delivered=Count("pk", filter=admitted & ~Q(delivered_digest="")),
        admitted=Count("pk", filter=admitted),
        silent=Count("pk", filter=silent),
    )
    for instance_id, host, total, sites, tunnels, delivered, to_host, away in counted:
        facts = found[instance_id]
        facts.total += total
        facts.sites += sites
        facts.tunnels += tunnels
        facts.delivered += delivered
        facts.silent += away
        if host and to_host:
            facts.hosts[host] = to_host
    _name_silent({pk: facts for pk, facts in found.items() if facts.silent}, silent)
    return found


def _silent_filter() -> Q:
    """The sites that were connected and are disconnected now."""
    before = timezone.now() - timedelta(seconds=HANDSHAKE_TIMEOUT)
    away = Q(protocol=Protocol.WIREGUARD) | Q(protocol=Protocol.OPENVPN, observation__connected_from=None)
    return Q(type=PeerType.SITE) & away & seen_filter(last_handshake__lte=before) & admitted_filter()


def _name_silent(found: dict[UUID, PeerFacts], silent: Q) -> None:
    """Add the names of the sites that were seen longest ago."""
    if not found:
        return
    last = F("observation__last_handshake")
    place = Window(RowNumber(), partition_by="instance_id", order_by=[last, "pk"])
    sites: Any = Peer.objects.filter(silent, instance__among=found).order_by().annotate(place=place, since=last)
    named = sites.filter(place__lte=MOST_NAMED).order_by("place")
    for instance_id, name, since in named.values_list("instance_id", "site__name", "since"):
        found[instance_id].silent_sites.append((name, since.isoformat()))
