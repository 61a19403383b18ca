"""Whether a server answers, as scheduled checks find it, and when the next check is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from vpn.actions.servers.loss import find_again, look_at_retired_hubs, lose
from vpn.choices import ServerState
from vpn.models import Server
from vpn.wire.finding import Finding

# So many failed checks in a row make a server unreachable.
_MOST_FAILURES: Final = 3
_CHECK_EVERY: Final = timedelta(seconds=8)
_CHECK_AGAIN: Final = timedelta(seconds=4)
_LONGEST_PAUSE: Final = timedelta(seconds=60)
# If a check is so late, the portal did not run: its own silence is not the server's.
_PORTAL_WAS_AWAY: Final = timedelta(seconds=60)
_KNOWN: Final = (ServerState.READY, ServerState.UNREACHABLE, ServerState.LOST)


def note_answer(server: Server, *, by: Principal) -> None:
    """Record that a server answered. One that was unreachable or lost is ready again."""
    now = timezone.now()
    with transaction.atomic():
        Server.objects.filter(pk=server.pk).update(check_at=now + _CHECK_EVERY)
        heard = Q(unanswered=0, silent_since=None)
        Server.objects.filter(Q(pk=server.pk) & ~heard).update(unanswered=0, silent_since=None)
        gone = Server.objects.filter(pk=server.pk, state__in=[ServerState.UNREACHABLE, ServerState.LOST])
        locked = gone.select_for_update(no_key=True).first()
        if locked is None:
            return
        was_lost = locked.state == ServerState.LOST
        gone.update(state=ServerState.READY, state_since=now, state_reason=None, loss_mailed_at=None)
        acted(by, "answers again", locked)
        look_at_retired_hubs(locked, by=by)
        if was_lost:
            find_again(locked, by=by)


def note_silence(server: Server, why: Finding, *, by: Principal) -> None:
    """Record that a server did not answer, and why.

    After some failures in a row it is unreachable, and after the region's time it is lost.
    """
    now = timezone.now()
    with transaction.atomic():
        locked = Server.objects.select_for_update(of=("self",), no_key=True).select_related("region")
        row = locked.filter(pk=server.pk, state__in=_KNOWN).first()
        if row is None:
            return
        _count(row, now)
        if row.state == ServerState.READY and row.unanswered >= _MOST_FAILURES:
            row.state, row.state_since = ServerState.UNREACHABLE, now
            acted(by, "became unreachable", row)
        lost_at = _lost_at(row)
        if row.state == ServerState.UNREACHABLE and lost_at <= now:
            row.state, row.state_since = ServerState.LOST, now
            lose(row, by=by)
        if row.state != ServerState.READY:
            row.state_reason = why.document()
        if row.state == ServerState.UNREACHABLE:
            row.check_at = min(row.check_at or now, lost_at)
        row.save(update_fields=["unanswered", "silent_since", "check_at", "state", "state_since", "state_reason"])


def _count(row: Server, now: datetime) -> None:
    """Count a failed check, and schedule the next one."""
    was_away = row.check_at is not None and row.check_at < now - _PORTAL_WAS_AWAY
    if row.silent_since is None or (was_away and row.state != ServerState.LOST):
        row.silent_since = now
    row.unanswered = min(row.unanswered + 1, 100)
    late = max(0, row.unanswered - _MOST_FAILURES)
    row.check_at = now + min(_CHECK_AGAIN * 2 ** min(late, 6), _LONGEST_PAUSE)


def _lost_at(row: Server) -> datetime:
    return (row.silent_since or timezone.now()) + timedelta(seconds=row.region.lost_seconds)
