"""Time in which the portal heard nothing of a hub: nobody knows whether its peers were used, so it does not count.

This also covers the time in which the portal itself was away. The ends move by as long, and a peer that was ended
meanwhile by its hub is let in again with the keys that it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.exceptions import NotPossible
from portal.models import Principal
from vpn.actions.change import Scope, changing
from vpn.actions.peers.use import end_after
from vpn.models import Instance, InstanceObservation, Peer
from vpn.models.row_updates import update_rows

# A hub of which the portal heard within this time is there. Shorter absences are within the day that peers have more.
_PRESENT: Final = timedelta(minutes=10)
_ABSENT: Final = timedelta(hours=1)


def leave_out_absence(*, by: Principal) -> None:
    """Move the ends of peers without use by as long as their hub was not heard of. Harmless when run twice."""
    ends = Peer.objects.filter(instance=OuterRef("pk"), unused_until__isnull=False)
    there = InstanceObservation.objects.filter(Exists(ends), observed_at__gt=timezone.now() - _PRESENT)
    was_away = Q(use_seen_at__lt=F("observed_at") - _ABSENT)
    for pk in there.filter(was_away).order_by("pk").values_list("pk", flat=True):
        try:
            _leave_out(pk, by)
        except (NotPossible, Instance.DoesNotExist):
            continue
    _note_seen(there.exclude(was_away).values_list("pk", flat=True))


def _note_seen(ids: Iterable[UUID]) -> None:
    with transaction.atomic():
        # In the locking order of the observing jobs, so that no two deadlock.
        rows = InstanceObservation.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
        mine = list(rows.values_list("pk", flat=True))
        InstanceObservation.objects.filter(pk__in=mine).update(use_seen_at=F("observed_at"))


def _leave_out(pk: UUID, by: Principal) -> None:
    """The same for one hub that is heard of again."""
    with changing(pk, by=by, scope=Scope.PEERS) as locked:
        row = InstanceObservation.objects.select_for_update().get(pk=pk)
        since, until = row.use_seen_at, row.observed_at
        if since is None or until is None:
            return
        rows: list[tuple[object, ...]] = [
            (counted, end_after(counted, days), locked.desired_generation, peer_id)
            for peer_id, days, counted in _moved(locked, since, until)
        ]
        update_rows(Peer, ["use_counted_at", "unused_until", "changed_generation"], ["id"], rows)
        InstanceObservation.objects.filter(pk=pk).update(use_seen_at=until)
        if rows:
            hours = round((until - since) / timedelta(hours=1))
            acted(by, "absence left out", locked, details={"hours": hours, "peers": len(rows)})


def _moved(instance: Instance, since: datetime, until: datetime) -> list[tuple[UUID, int | None, datetime]]:
    """The peers that had not ended when the hub was away, with from when their days count now."""
    # What had ended before stays ended.
    found = instance.peers.filter(unused_until__gt=since, use_counted_at__lt=until)
    return [
        (pk, days, counted + (until - max(counted, since)))
        for pk, days, counted in found.values_list("pk", "unused_days", "use_counted_at")
        if counted is not None
    ]
