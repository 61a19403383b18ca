"""Remove rows that have ended. Each batch is a transaction of its own; the next run continues with what is left."""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db.models import Count, Exists, F, Model, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.actions.api_token import SHOWN_AFTER_END
from portal.audit.retention import prune_journals
from portal.models import ApiToken, BrowserSession, JournalEntry, Mail, Principal, Receipt
from vpn.actions.activity.plan_work import delete_expired_previews
from vpn.actions.peers.certificates import CLOCK_SKEW
from vpn.choices import OperationState
from vpn.connections.ending import end_left_over
from vpn.connections.retention import prune_connections, prune_subnets
from vpn.constants import HOST_REST_HOURS, HOSTNAME_QUARANTINE_DAYS, IDEMPOTENCY_HOURS
from vpn.jobs.tick import scheduled
from vpn.models import (
    ChangePlan,
    DeliveredProfile,
    EarlierCertificate,
    FirewallRule,
    IdempotencyKey,
    Instance,
    InstanceObservation,
    Operation,
    Peer,
    PeerObservation,
    ProfileLink,
    ReleasedHost,
    ReleasedHostname,
    Revision,
    RevisionPart,
    RevokedCertificate,
    Router,
    RuleObservation,
    Traffic,
)
from vpn.models.revision import SECTIONS
from vpn.observed.connections import begin_left_out
from vpn.pki import CLIENT_LIFE

logger = logging.getLogger(__name__)
TIDY_SECONDS: Final = 600
_BY: Final = Principal.portal(gettext_noop("removing what has ended"))
# The worker of this queue has other work, and hubs are observed every few seconds.
_SLICE_SECONDS: Final = 2.0
# SQLite has one writer at a time: in a pause, others take the lock.
_PAUSE_SECONDS: Final = 0.05
_BATCH: Final = 500
# Rows with many others that belong to them, or with long columns.
_SMALL_BATCH: Final = 50
# The newest finished operations and plans of each instance that are kept, whatever their age.
_OPERATIONS_KEPT: Final = 200
_PLANS_KEPT: Final = 1000
_REVISIONS_KEPT: Final = 200
_CROWDED_AT_ONCE: Final = 20


class Ended(NamedTuple):
    """Rows to remove, and how many at once."""

    rows: QuerySet[Any]
    batch: int = _BATCH


@scheduled("tidy", TIDY_SECONDS)
def tidy() -> None:
    """Remove what has ended, as far as the time suffices."""
    delete_expired_previews(by=_BY)
    remove_ended(_SLICE_SECONDS)
    prune_journals(_SLICE_SECONDS)
    _mend_connections(_SLICE_SECONDS)
    prune_connections(_SLICE_SECONDS)
    prune_subnets()


def _mend_connections(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (end_left_over() or begin_left_out()) and time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)


def remove_ended(seconds: float) -> bool:
    """Remove ended rows for at most this long, a batch of each table in turn; True if none is left."""
    now = timezone.now()
    waiting = deque(_ended(now))
    # Each run begins with another table, so that a large one does not keep the others from their turn.
    waiting.rotate(-int(now.timestamp() // TIDY_SECONDS))
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        ended = waiting.popleft()
        if _remove_batch(ended):
            waiting.append(ended)
            time.sleep(_PAUSE_SECONDS)
    if waiting:
        logger.info("More ended rows are removed in %d seconds", TIDY_SECONDS)
    return not waiting


def _remove_batch(ended: Ended) -> bool:
    """Remove one batch; True if there may be more."""
    model: type[Model] = ended.rows.model
    found = list(ended.rows.order_by().values_list("pk", flat=True)[: ended.batch])
    if found:
        QuerySet(model).filter(pk__in=found).delete()
    return len(found) == ended.batch


def _ended(now: datetime) -> list[Ended]:
    """All rows that have ended, table by table."""
    activity_kept = now - timedelta(days=settings.ACTIVITY_DAYS)
    return [
        Ended(Session.objects.filter(expire_date__lt=now)),
        # A receipt is kept as long as the journal's line of its act, and its tunnels with it.
        Ended(Receipt.objects.filter(~Exists(JournalEntry.objects.filter(pk=OuterRef("pk"))))),
        Ended(BrowserSession.objects.filter(~Exists(Session.objects.filter(session_key=OuterRef("digest"))))),
        Ended(ApiToken.objects.filter(expires_at__lt=now - SHOWN_AFTER_END)),
        Ended(Mail.objects.filter(created_at__lt=now - timedelta(days=settings.MAIL_DAYS))),
        Ended(LogEntry.objects.filter(action_time__lt=activity_kept)),
        Ended(DeliveredProfile.objects.filter(delivered_at__lt=activity_kept)),
        Ended(ProfileLink.objects.filter(expires_at__lt=now)),
        Ended(_forgotten_routers(activity_kept)),
        Ended(IdempotencyKey.objects.filter(created_at__lt=now - timedelta(hours=IDEMPOTENCY_HOURS))),
        Ended(_expired_revocations(now)),
        Ended(EarlierCertificate.objects.filter(expires_at__lt=now)),
        Ended(ReleasedHostname.objects.filter(released_at__lt=now - timedelta(days=HOSTNAME_QUARANTINE_DAYS))),
        Ended(ReleasedHost.objects.filter(released_at__lt=now - timedelta(hours=HOST_REST_HOURS))),
        Ended(Traffic.objects.filter(day__lt=now.date() - timedelta(days=settings.TRAFFIC_DAYS))),
        # No foreign key keeps an observation from being written while what it is about is deleted.
        Ended(PeerObservation.objects.filter(~Exists(Peer.objects.filter(pk=OuterRef("pk"))))),
        Ended(InstanceObservation.objects.filter(~Exists(Instance.objects.filter(pk=OuterRef("pk"))))),
        Ended(RuleObservation.objects.filter(~Exists(FirewallRule.objects.filter(pk=OuterRef("pk"))))),
        Ended(_old_operations(activity_kept), _SMALL_BATCH),
        Ended(_beyond_newest(_finished(), "started_at", _OPERATIONS_KEPT), _SMALL_BATCH),
        Ended(ChangePlan.objects.filter(created_at__lt=activity_kept), _SMALL_BATCH),
        Ended(_beyond_newest(ChangePlan.objects.all(), "created_at", _PLANS_KEPT), _SMALL_BATCH),
        Ended(_old_revisions(now - timedelta(days=settings.REVISION_DAYS)), _SMALL_BATCH),
        Ended(_beyond_newest(Revision.objects.all(), "number", _REVISIONS_KEPT), _SMALL_BATCH),
        Ended(_unused_parts(), _SMALL_BATCH),
    ]


def _expired_revocations(now: datetime) -> QuerySet[RevokedCertificate]:
    """Revocations of certificates that have expired. Rows without that time are of before it was stored."""
    expired = Q(expires_at__lt=now - CLOCK_SKEW)
    unknown = Q(expires_at=None, revoked_at__lt=now - CLIENT_LIFE - CLOCK_SKEW)
    return RevokedCertificate.objects.filter(expired | unknown)


def _forgotten_routers(before: datetime) -> QuerySet[Router]:
    """Routers whose peer is gone, and that do not have to be told any more."""
    silent = Q(checked_in_at__lt=before) | Q(checked_in_at=None, created_at__lt=before)
    return Router.objects.filter(silent | Q(digest=None), peer=None)


def _finished() -> QuerySet[Operation]:
    return Operation.objects.exclude(state=OperationState.RUNNING)


def _old_operations(before: datetime) -> QuerySet[Operation]:
    """Finished operations from before; the last of each kind stays, since pages and a retry look for it."""
    newer = Operation.objects.filter(
        instance=OuterRef("instance"), kind=OuterRef("kind"), started_at__gt=OuterRef("started_at")
    )
    return _finished().filter(Exists(newer), started_at__lt=before)


def _old_revisions(before: datetime) -> QuerySet[Revision]:
    """Revisions from before; the newest of each instance stays, since the next change is compared with it."""
    newer = Revision.objects.filter(instance=OuterRef("instance"), number__gt=OuterRef("number"))
    return Revision.objects.filter(Exists(newer), at__lt=before)


def _unused_parts() -> QuerySet[RevisionPart]:
    """Parts of removed revisions. A new revision shares parts with the newest one only, so none of these is in use."""
    rows = RevisionPart.objects.all()
    for section in SECTIONS:
        rows = rows.filter(~Exists(Revision.objects.filter(**{section: OuterRef("pk")})))
    return rows


def _beyond_newest(rows: QuerySet[Any], by_time: str, kept: int) -> QuerySet[Any]:
    """All but the newest rows of each instance. Only the instances with the most rows are read, a few in each run."""
    # Counted without `rows`' own conditions: an index has all that is needed then (41 ms instead of 417 for 200,000).
    numbers = QuerySet(rows.model).order_by().values("instance").annotate(number=Count("*"))
    crowded = numbers.filter(number__gt=kept).order_by("-number").values_list("instance", flat=True)[:_CROWDED_AT_ONCE]
    # A list: with a subquery, PostgreSQL numbers the rows of all instances.
    numbered: QuerySet[Any] = rows.filter(instance__in=list(crowded)).annotate(
        place=Window(RowNumber(), partition_by=F("instance"), order_by=F(by_time).desc())
    )
    return numbered.filter(place__gt=kept)
