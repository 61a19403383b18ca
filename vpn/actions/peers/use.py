"""Peers that end after days without use: counted from their last use, and from their addition or renewal.

The end is part of the spec, so hubs end them by themselves. A portal that is away moves no end.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.exceptions import InvalidInput, NotPossible
from portal.figures import grouped
from portal.models import Membership, Principal
from portal.validators import LEAST_UNUSED_DAYS, MOST_UNUSED_DAYS
from vpn.actions.change import Scope, changing
from vpn.models import Instance, Peer
from vpn.models.querysets import PeerQuerySet, seen_filter
from vpn.models.row_updates import update_rows

# Ends are moved once a day, so a peer has a day more than its days.
_COUNTED_EVERY: Final = timedelta(hours=23)
_SPARE: Final = timedelta(days=1)
_BATCH: Final = 500


class Unused(Enum):
    """What a new device gets where nothing else is said."""

    AS_ORGANIZATION = "as the organization's new devices"


def count_from_now(peer: Peer) -> None:
    """Count a peer's days without use from now; the caller saves it."""
    now = timezone.now()
    peer.use_counted_at = now if peer.unused_days is not None else None
    peer.unused_until = end_after(now, peer.unused_days)


def days_faults(days: int | None) -> dict[str, list[str]]:
    """The fault in a number of days without use, by field."""
    if days is None or LEAST_UNUSED_DAYS <= days <= MOST_UNUSED_DAYS:
        return {}
    return {
        "unused_days": [
            _("Choose %(least)s to %(most)s days, or nothing for no end.")
            % {"least": LEAST_UNUSED_DAYS, "most": grouped(MOST_UNUSED_DAYS)}
        ]
    }


def refuse_more_days(member: Membership, days: int | None, peer: Peer | None = None) -> None:
    """Raise InvalidInput if a member who is no admin chooses more days than their organization.

    A site has what an admin set on it, which is the most for others. Without `peer` it is a new device.
    """
    most = peer.unused_days if peer is not None and peer.is_site else member.organization.unused_days
    if not member.is_admin and most is not None and (days is None or days > most):
        raise InvalidInput.in_field(
            "unused_days", _("Choose at most %(most)s days: only admins may allow more.") % {"most": most}
        )


def count_use(seconds: float, *, by: Principal) -> bool:
    """Move the ends of peers that were used, for at most this long; True if none is left. Harmless when run twice."""
    end = time.monotonic() + seconds
    for instance_id in list(_used().order_by("instance").values_list("instance", flat=True).distinct()):
        while _count_batch(instance_id, by):
            if time.monotonic() >= end:
                return False
    return True


def _used() -> PeerQuerySet:
    """The peers that were used after what was counted last. One that has ended stays ended."""
    now = timezone.now()
    return Peer.objects.filter(
        seen_filter(last_handshake__gte=F("use_counted_at") + _COUNTED_EVERY),
        use_counted_at__lte=now - _COUNTED_EVERY,
        unused_until__gt=now,
        enabled=True,
    )


def _count_batch(instance_id: UUID, by: Principal) -> bool:
    """Move the ends of some peers of an instance; True if there may be more."""
    if not _used().filter(instance=instance_id).exists():
        return False
    try:
        with changing(instance_id, by=by, scope=Scope.PEERS) as locked:
            used = _used().filter(instance=locked)
            found = list(used.values_list("pk", "unused_days", "observation__last_handshake")[:_BATCH])
            now, generation = timezone.now(), locked.desired_generation
            rows: list[tuple[object, ...]] = []
            for pk, days, last in found:
                counted = now if last is None else min(last, now)
                rows.append((counted, end_after(counted, days), generation, pk))
            update_rows(Peer, ["use_counted_at", "unused_until", "changed_generation"], ["id"], rows)
            acted(by, "use counted", locked)
    except (NotPossible, Instance.DoesNotExist):
        return False
    return len(found) == _BATCH


def end_after(counted: datetime, days: int | None) -> datetime | None:
    """When a peer ends whose days without use count from then."""
    return None if days is None else counted + timedelta(days=days) + _SPARE
