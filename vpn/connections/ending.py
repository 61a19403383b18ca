"""Connections that end by an act of the portal: who is refused, renewed or moved is not connected any more.

Each of these runs after the act's commit, in a short transaction of its own. What is lost with a process that dies in
between is done by `end_left_over`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from vpn.choices import EndReason, Protocol
from vpn.constants import HANDSHAKE_TIMEOUT, OBSERVATION_MAX_AGE
from vpn.models import Connection, InstanceObservation, Peer, PeerObservation
from vpn.models.row_updates import update_rows

Counters = tuple[int, int]
_TIMEOUT: Final = timedelta(seconds=HANDSHAKE_TIMEOUT)
# An idle peer is in the whole reports alone, which come every minute.
_LATE: Final = timedelta(seconds=HANDSHAKE_TIMEOUT + 180)
_BATCH: Final = 500


def end_all(instance_id: UUID, reason: EndReason) -> None:
    """End all open connections of an instance."""
    found = Connection.objects.filter(instance_id=instance_id, ended_at=None)
    _end(found, {instance_id}, timezone.now(), reason)


def end_moved(instance_id: UUID, reason: EndReason = EndReason.MOVED) -> None:
    """End all open connections of an instance whose hub has another place or other keys: devices connect anew."""
    with transaction.atomic():
        end_all(instance_id, reason)
        seen = PeerObservation.objects.filter(peer__in=Peer.objects.filter(instance=instance_id))
        seen.filter(connected_from__isnull=False).update(connected_from=None)


def end_of_peer(instance_id: UUID, peer_id: UUID, reason: EndReason, counted: Counters, *, at: datetime) -> None:
    """End the open connection of a peer; `counted` are its bytes, as its observation may be gone."""
    found = Connection.objects.filter(instance_id=instance_id, peer_id=peer_id, ended_at=None)
    _end(found, {instance_id}, at, reason, {peer_id: counted})


def end_refused(instance_id: UUID) -> None:
    """End the open connections of an instance whose peers may not connect any more."""
    found = _refused(Connection.objects.filter(instance_id=instance_id, ended_at=None))
    if found.exists():
        _end(found, {instance_id}, timezone.now())


def end_left_over() -> bool:
    """End open connections that no report and no act has ended; True if there may be more.

    A hub that was rebuilt does not name WireGuard peers that never came back.
    """
    now = timezone.now()
    still = Connection.objects.filter(ended_at=None)
    silent = PeerObservation.objects.filter(peer=OuterRef("peer_id"), last_handshake__lt=now - _LATE)
    watched = InstanceObservation.objects.filter(
        instance=OuterRef("instance_id"), observed_at__gt=now - timedelta(seconds=OBSERVATION_MAX_AGE)
    )
    idle = Q(Exists(silent), Exists(watched), protocol=Protocol.WIREGUARD)
    count = 0
    for rows in (_refused(still), still.filter(idle)):
        found = dict(rows.values_list("pk", "instance_id")[:_BATCH])
        if found:
            _end(Connection.objects.filter(pk__in=found, ended_at=None), set(found.values()), now)
        count = max(count, len(found))
    return count == _BATCH


def _refused(rows: QuerySet[Connection]) -> QuerySet[Connection]:
    return rows.filter(~Exists(Peer.objects.admitted().filter(pk=OuterRef("peer_id"))))


def _end(
    rows: QuerySet[Connection],
    instances: Collection[UUID],
    now: datetime,
    reason: EndReason | None = None,
    counted: dict[UUID, Counters] | None = None,
) -> None:
    """End these connections; without a `reason`, for what is known of each peer."""
    with transaction.atomic():
        # As those who record reports do, so that no two deadlock.
        list(InstanceObservation.objects.select_for_update().filter(pk__in=instances).order_by("pk"))
        found = list(rows)
        ids = {row.peer_id for row in found}
        peers = {
            peer.pk: peer
            for peer in Peer.objects.filter(pk__in=ids).only("enabled", "expires_at", "unused_until", "member")
        }
        seen = {one.peer_id: one for one in PeerObservation.objects.filter(peer__in=ids)}
        ends: list[tuple[object, ...]] = []
        for row in found:
            at, why = (now, reason) if reason is not None else _why(peers.get(row.peer_id), seen.get(row.peer_id), now)
            ends.append((max(at, row.began_at), why, *_counters(row, seen.get(row.peer_id), counted), row.pk, ""))
        update_rows(Connection, ["ended_at", "reason", "received_to", "sent_to"], ["id", "reason"], ends)
        _forget_begins(found, instances)


def _forget_begins(ended: Collection[Connection], instances: Collection[UUID]) -> None:
    """Forget when ended connections began, so that the next report of the peer is compared anew.

    A peer may be admitted again at once: its next handshake begins a new one, an OpenVPN session that goes on the same.
    """
    keys: list[tuple[object, ...]] = [(None, row.peer_id, row.began_at) for row in ended]
    if keys:
        update_rows(PeerObservation, ["connected_from"], ["peer", "connected_from"], keys)
        # A report that is being compared with the former state would write it back: it is not recorded.
        hubs = InstanceObservation.objects.filter(pk__in=instances, observed_at__isnull=False)
        hubs.update(observed_at=F("observed_at") + timedelta(microseconds=1))


def _why(peer: Peer | None, seen: PeerObservation | None, now: datetime) -> tuple[datetime, EndReason]:
    if peer is None:
        return now, EndReason.REMOVED
    if (end := peer.ends_at) is not None and end <= now:
        return end, EndReason.EXPIRED
    if peer.is_admitted and seen is not None and seen.last_handshake is not None:
        return seen.last_handshake + _TIMEOUT, EndReason.LEFT
    return now, EndReason.REVOKED


def _counters(row: Connection, seen: PeerObservation | None, counted: dict[UUID, Counters] | None) -> Counters:
    if counted and row.peer_id in counted:
        return counted[row.peer_id]
    if seen is None:
        return row.received_from, row.sent_from
    return seen.received_bytes, seen.sent_bytes
