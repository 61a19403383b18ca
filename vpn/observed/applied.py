"""Record what a server confirmed, as the base of its next delta."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Subquery, Value
from django.db.models.functions import Coalesce

from vpn.desired import PLACEHOLDER_ID, PROBE_ID, Desired
from vpn.models import EndedTunnel, Instance, Peer, PeerTombstone, Server
from vpn.models.row_updates import update_rows
from vpn.wire.report import HubReport

_CHUNK = 500
# Peers of a spec that have no row.
_NOT_ROWS = {PROBE_ID, PLACEHOLDER_ID}


def record_applied(instance_id: UUID, token: UUID, desired: Desired, report: HubReport) -> bool:
    """Record what the server confirmed; False if the claim was lost or something newer is recorded already."""
    if report.digest != desired.digest or (report.epoch, report.generation) != (desired.epoch, desired.generation):
        return False
    older = Q(applied_epoch__lt=desired.epoch) | Q(
        applied_epoch=desired.epoch, applied_generation__lte=desired.generation
    )
    with transaction.atomic():
        noted = Instance.objects.filter(older, pk=instance_id, lease_token=token, epoch=desired.epoch).update(
            applied_epoch=desired.epoch,
            applied_generation=desired.generation,
            applied_digest=desired.digest,
            applied_header_digest=desired.header_digest,
            applied_total=desired.total_hex,
            failure="",
        )
        if not noted:
            return False
        _note_peers(instance_id, desired)
        _confirm_ended(instance_id, desired.generation, datetime.fromtimestamp(report.read_at, UTC))
        PeerTombstone.objects.filter(instance=instance_id, generation__lte=desired.generation).delete()
    return True


def _note_peers(instance_id: UUID, desired: Desired) -> None:
    """Record the digest of each peer on the hub, or that the hub does not have it."""
    peers = Peer.objects.filter(instance=instance_id)
    digests = {UUID(peer_id): digest for peer_id, digest in desired.peer_digests.items() if peer_id not in _NOT_ROWS}
    if desired.is_delta:
        peers.filter(pk__in=desired.removed).update(applied_digest="")
        differing: Iterable[tuple[UUID, str]] = digests.items()
    else:
        known = dict(peers.values_list("pk", "applied_digest"))
        gone = [pk for pk, digest in known.items() if digest and pk not in digests]
        for start in range(0, len(gone), _CHUNK):
            peers.filter(pk__in=gone[start : start + _CHUNK]).update(applied_digest="")
        differing = [(pk, digest) for pk, digest in digests.items() if known.get(pk) != digest]
    update_rows(Peer, ["applied_digest"], ["id"], [(digest, pk) for pk, digest in differing])
    _note_leavers(instance_id, desired, digests)


def _confirm_ended(instance_id: UUID, generation: int, confirmed_at: datetime) -> None:
    """Record on receipts when the hub said that it is without these devices, and which server it is on."""
    server = Server.objects.filter(instances=instance_id).values("name")[:1]
    waiting = EndedTunnel.objects.filter(instance_id=instance_id, confirmed_at=None, generation__lte=generation)
    waiting.update(confirmed_at=confirmed_at, confirmed_by=Coalesce(Subquery(server), Value("")))


def _note_leavers(instance_id: UUID, desired: Desired, digests: dict[UUID, str]) -> None:
    """Record the same on the tombstones of peers that were deleted during the apply."""
    for tombstone in PeerTombstone.objects.filter(instance=instance_id, generation__gt=desired.generation):
        is_named = not desired.is_delta or str(tombstone.peer_id) in desired.removed
        digest = digests.get(tombstone.peer_id, "" if is_named else tombstone.applied_digest)
        if digest != tombstone.applied_digest:
            tombstone.applied_digest = digest
            tombstone.save(update_fields=["applied_digest"])
