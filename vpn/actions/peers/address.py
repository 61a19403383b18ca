"""Assigns addresses to peers, and quarantines those of deleted peers; the caller holds the instance's lock."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Max, QuerySet
from django.utils import timezone

from portal.actions.acting import acted
from portal.exceptions import Conflict
from portal.models import Principal
from vpn.addressing.pools import PoolExhausted, last_peer_host, next_free_host, unusable_hosts
from vpn.constants import HOST_REST_HOURS
from vpn.models import Instance, Peer, ReleasedHost


def give_host(peer: Peer, instance: Instance, *, by: Principal) -> None:
    """Give a new peer a host number in the instance's pools; raises Conflict where all are taken."""
    resting = _resting(instance)
    highest = [rows.aggregate(highest=Max("host"))["highest"] or 0 for rows in (instance.peers.all(), resting)]
    try:
        peer.host = next_free_host(
            max(highest),
            lambda: instance.peers.order_by().values_list("host", flat=True),
            last_peer_host(instance.network_v4),
            unusable_hosts(instance.network_v4, instance.origin),
            resting=lambda: list(resting.order_by("released_at", "host").values_list("host", flat=True)),
        )
    except PoolExhausted as error:
        raise Conflict(str(error), code="pool-exhausted") from None
    instance.released_hosts.filter(host=peer.host).delete()
    acted(by, "address given", peer)


def release_host(peer: Peer, *, by: Principal) -> None:
    """Quarantine the host number of a peer that is being deleted."""
    ReleasedHost.objects.update_or_create(
        instance=peer.instance, host=peer.host, defaults={"released_at": timezone.now()}
    )
    acted(by, "address released", peer)


def _resting(instance: Instance) -> QuerySet[ReleasedHost]:
    return instance.released_hosts.filter(released_at__gt=timezone.now() - timedelta(hours=HOST_REST_HOURS))
