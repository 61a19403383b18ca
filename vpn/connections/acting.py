"""What acts on peers mean for the connection journal."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from vpn.choices import EndReason
from vpn.connections.ending import end_of_peer, end_refused
from vpn.models import Peer


def end_connection(peer: Peer, reason: EndReason) -> None:
    """Write the end of a peer's connection after the commit: the act must not wait for those who record reports."""
    seen = peer.seen
    counted = seen.received_bytes, seen.sent_bytes
    end = partial(end_of_peer, peer.instance_id, peer.pk, reason, counted, at=timezone.now())
    transaction.on_commit(end, robust=True)


def end_connections_of_refused(instance_id: UUID) -> None:
    """Write the ends of connections of peers that may not connect any more, after the commit."""
    transaction.on_commit(partial(end_refused, instance_id), robust=True)
