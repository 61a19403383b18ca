"""Whether a server answers, as scheduled checks find it, and when the next check is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Principal
from vpn.choices import ServerState
from vpn.models import Server
from vpn.wire.finding import Finding

# So many failed checks in a row make a server unreachable.
_MOST_FAILURES: Final = 3
_CHECK_EVERY: Final = timedelta(seconds=8)
_CHECK_AGAIN: Final = timedelta(seconds=4)
_LONGEST_PAUSE: Final = timedelta(seconds=60)


def note_answer(server: Server, *, by: Principal) -> None:
    """Record that a server answered. One that was unreachable is ready again."""
    now = timezone.now()
    with transaction.atomic():
        Server.objects.filter(pk=server.pk).update(check_at=now + _CHECK_EVERY)
        Server.objects.filter(Q(pk=server.pk) & ~Q(unanswered=0)).update(unanswered=0)
        gone = Server.objects.filter(pk=server.pk, state=ServerState.UNREACHABLE)
        if gone.update(state=ServerState.READY, state_since=now, state_reason=None):
            acted(by, "answers again", server)


def note_silence(server: Server, why: Finding, *, by: Principal) -> None:
    """Record that a server did not answer, and why; after some failures in a row it is unreachable."""
    now = timezone.now()
    with transaction.atomic():
        locked = Server.objects.select_for_update(no_key=True).filter(pk=server.pk).first()
        if locked is None or locked.state not in {ServerState.READY, ServerState.UNREACHABLE}:
            return
        locked.unanswered = min(locked.unanswered + 1, 100)
        late = max(0, locked.unanswered - _MOST_FAILURES)
        locked.check_at = now + min(_CHECK_AGAIN * 2 ** min(late, 6), _LONGEST_PAUSE)
        if locked.state == ServerState.READY and locked.unanswered >= _MOST_FAILURES:
            locked.state, locked.state_since = ServerState.UNREACHABLE, now
            acted(by, "became unreachable", locked)
        if locked.state == ServerState.UNREACHABLE:
            locked.state_reason = why.document()
        locked.save(update_fields=["unanswered", "check_at", "state", "state_since", "state_reason"])
