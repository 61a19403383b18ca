"""What acts on peers mean for the connection journal."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from vpn.choices import EndReason
from vpn.connections.ending import end_of_peer, end_refused
from vpn.models import Connection, ConnectionSubnet, Peer
from vpn.models.observation import subnets_id
from vpn.observed.connections import insert_subnets


def end_connection(peer: Peer, reason: EndReason) -> None:
    """Write the end of a peer's connection after the commit: the act must not wait for those who record reports."""
    seen = peer.seen
    counted = seen.received_bytes, seen.sent_bytes
    end = partial(end_of_peer, peer.instance_id, peer.pk, reason, counted, at=timezone.now())
    transaction.on_commit(end, robust=True)


def end_connections_of_refused(instance_id: UUID) -> None:
    """Write the ends of connections of peers that may not connect any more, after the commit."""
    transaction.on_commit(partial(end_refused, instance_id), robust=True)


def note_subnets(peer: Peer) -> None:
    """Add a site's changed subnets to its open connection, after the commit: an address in them finds it, too."""
    if peer.is_site:
        transaction.on_commit(partial(_add_subnets, peer.pk), robust=True)


def _add_subnets(peer_id: UUID) -> None:
    peer = Peer.objects.select_related("instance").filter(pk=peer_id).first()
    with transaction.atomic():
        row = Connection.objects.select_for_update().filter(peer_id=peer_id, ended_at=None).order_by("-pk").first()
        if peer is None or row is None or row.subnets is None:
            return
        former = ConnectionSubnet.objects.filter(set_id=row.subnets).order_by("pk").values_list("network", flat=True)
        both = list(dict.fromkeys([*former, *peer.subnets]))
        insert_subnets([(peer, both)])
        Connection.objects.filter(pk=row.pk).update(subnets=subnets_id(peer_id, both))
