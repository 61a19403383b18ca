"""Where an account is signed in: list it, and sign out elsewhere."""

from __future__ import annotations

from uuid import UUID

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import BrowserSession, Principal, User


def sessions_of(user: User) -> QuerySet[BrowserSession]:
    """The sessions that can still be used, the one seen last first."""
    alive = Session.objects.filter(session_key=OuterRef("digest"), expire_date__gt=timezone.now())
    return BrowserSession.objects.filter(Exists(alive), user=user.pk).order_by("-seen_at", "pk")


def end_session(user: User, pk: UUID, *, by: Principal) -> bool:
    """End one session of an account at once; False if it has none of this id."""
    return bool(_end(user, BrowserSession.objects.filter(user=user.pk, pk=pk), by))


def end_sessions(user: User, *, by: Principal, keep: str = "") -> int:
    """End the sessions of an account at once, except the one of the digest `keep`; return how many."""
    return _end(user, BrowserSession.objects.filter(user=user.pk).exclude(digest=keep), by)


def _end(user: User, rows: QuerySet[BrowserSession], by: Principal) -> int:
    with transaction.atomic():
        digests = list(rows.values_list("digest", flat=True))
        if not digests:
            return 0
        Session.objects.filter(session_key__in=digests).delete()
        BrowserSession.objects.filter(digest__in=digests).delete()
        acted(by, "signed out elsewhere", user, details={"browsers": len(digests)})
    return len(digests)
