"""Computing plans in workers, for saved changes and for previews: from the current rows, without any lock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from portal.actions.acting import acted
from portal.models import Membership, Principal
from vpn import doorbell
from vpn.actions.activity.plan_mail import MAIL_RETRIED
from vpn.actions.activity.planning import MOST_NOTED_LINES, ChangePreview, compute_plan, connected
from vpn.choices import PlanState
from vpn.models import AskedPlan, ChangePlan, Instance, InstanceObservation, PeerObservation
from vpn.models.asked_plan import KEPT
from vpn.plan.delta import Delta
from vpn.plan.explaining import Plan, explain
from vpn.plan.rows import Rows, read_rows
from vpn.plan.snapshot import snapshot

logger = logging.getLogger(__name__)
# A plan is given up after its computation has started this often without finishing, as workers died.
_MOST_ATTEMPTS: Final = 3
# At most this many changes of one instance are reverted in memory; older ones get no plan.
_MOST_WAITING: Final = 50
_CHUNK: Final = 500  # ids in one query
# The stored plans of an instance name this many peers with outdated profiles, and one plan more: about 2 MB.
_MOST_LISTED: Final = 50_000


def work_out_next(instance_id: UUID, *, by: Principal) -> bool:
    """Compute the plan of an instance's oldest waiting change; True if more are waiting.

    Raises ConcurrentChange where the rows change faster than they are read.
    """
    waiting = list(_waiting(instance_id).order_by("-generation").only("id", "generation")[: _MOST_WAITING + 1])
    if len(waiting) > _MOST_WAITING:
        _give_up(_waiting(instance_id).filter(generation__lte=waiting[-1].generation), by)
        del waiting[-1]
    if not waiting:
        return False
    oldest = ChangePlan.objects.get(pk=waiting[-1].pk)
    if oldest.attempts >= _MOST_ATTEMPTS:
        _give_up(_waiting(instance_id).filter(pk=oldest.pk), by)
    else:
        _waiting(instance_id).filter(pk=oldest.pk).update(attempts=F("attempts") + 1)
        _note(oldest, _explained(oldest), by)
    return len(waiting) > 1


def _waiting(instance_id: UUID) -> QuerySet[ChangePlan]:
    return ChangePlan.objects.filter(instance=instance_id, state=PlanState.WAITING)


def _explained(noted: ChangePlan) -> Plan:
    """The plan of a change: later changes are reverted in memory, then the change itself."""
    delta = Delta.from_document(noted.delta or {})
    later = _waiting(noted.instance_id).filter(generation__gt=noted.generation).order_by("-generation")
    deltas = [Delta.from_document(document) for document in later.values_list("delta", flat=True) if document]
    rows: Rows = read_rows(noted.instance_id, [delta, *deltas])
    for one in deltas:
        rows = rows.unchanged(one)
    before = rows.unchanged(delta)
    # Not `rows`: a peer of the change may have been deleted since.
    return explain(snapshot(before), snapshot(before.changed(delta)))


def _note(noted: ChangePlan, plan: Plan, by: Principal) -> None:
    plan.reconnecting = _mark(noted, plan.pushed)
    ChangePlan.objects.filter(pk=noted.pk, state=PlanState.WAITING).update(
        plan=plan.document(most_lines=MOST_NOTED_LINES),
        outdated=[str(pk) for pk in plan.outdated],
        state=PlanState.READY,
        delta=None,
    )
    acted(by, "worked out", noted)
    if plan.outdated:
        _drop_old_lists(noted.instance_id)


def _drop_old_lists(instance_id: UUID) -> None:
    """Empty the oldest lists of peers with outdated profiles, except where people are being mailed.

    Those of a changed address stay: the instance's page offers the mail until its devices have the new one.
    """
    listed = ChangePlan.objects.filter(instance=instance_id, plan__address__isnull=True).exclude(outdated=[])
    total, old = 0, []
    for pk, count in listed.order_by("-generation").values_list("pk", "plan__outdated_count"):
        if total >= _MOST_LISTED:
            old.append(pk)
        total += count or 0
    mailing = Q(mail_requested_at__gt=timezone.now() - MAIL_RETRIED, mail_finished_at=None)
    ChangePlan.objects.filter(pk__in=old).exclude(mailing).update(outdated=[], outdated_dropped=True)


def _mark(noted: ChangePlan, pushed: list[UUID]) -> int:
    """Mark connected peers as about to reconnect; their pages say so. Returns how many.

    The hub's next report clears the mark.
    """
    found = [pk for rows in connected(pushed) for pk in rows.values_list("pk", flat=True)]
    if not found:
        return 0
    first = Coalesce("push_generation", Value(noted.generation))
    with transaction.atomic():
        # Locked first, as the observing job does, so that the two cannot deadlock.
        InstanceObservation.objects.select_for_update().filter(pk=noted.instance_id).first()
        for start in range(0, len(found), _CHUNK):
            chunk = found[start : start + _CHUNK]
            PeerObservation.objects.filter(pk__in=chunk).update(push_generation=first)
    return len(found)


def _give_up(waiting: QuerySet[ChangePlan], by: Principal) -> None:
    plans = list(waiting.only("id"))
    logger.warning("Gave up computing the plans of %d changes", len(plans))
    still = ChangePlan.objects.filter(pk__in=[plan.pk for plan in plans], state=PlanState.WAITING)
    still.update(state=PlanState.FAILED, delta=None)
    for plan in plans:
        acted(by, "given up", plan)


def preview_later(
    member: Membership, found: Sequence[ChangePreview], *, by: Principal, new_site: str = "", notes: Sequence[str] = ()
) -> AskedPlan:
    """Have a worker compute a preview. It replaces the member's previous one."""
    with transaction.atomic():
        AskedPlan.objects.filter(organization=member.organization_id, user=member.user_id).delete()
        question = [[str(one.instance_id), one.delta.document()] for one in found]
        row = AskedPlan.objects.create(
            organization_id=member.organization_id,
            user_id=member.user_id,
            question=question,
            new_site=new_site,
            notes=list(notes),
        )
        acted(by, "created", row)
    transaction.on_commit(lambda: doorbell.enqueue_asked_plan(row.pk, row.organization_id))
    return row


def compute_preview(pk: UUID, *, by: Principal) -> None:
    """Compute a requested preview, unless a newer request replaced it. Raises ConcurrentChange."""
    row = AskedPlan.objects.filter(pk=pk, state=PlanState.WAITING).first()
    if row is None or row.is_over:
        return
    open_row = AskedPlan.objects.filter(pk=pk, state=PlanState.WAITING)
    if row.attempts >= _MOST_ATTEMPTS:
        open_row.update(state=PlanState.FAILED)
        return
    open_row.update(attempts=F("attempts") + 1)
    found = [ChangePreview(UUID(instance_id), Delta.from_document(delta)) for instance_id, delta in row.question]
    try:
        plan = compute_plan(found)
    except Instance.DoesNotExist:
        open_row.update(state=PlanState.FAILED)
        return
    open_row.update(state=PlanState.READY, answer=plan.document(most_lines=MOST_NOTED_LINES), question=[])
    acted(by, "worked out", row)


def delete_expired_previews(*, by: Principal) -> None:
    """Delete expired previews."""
    for row in AskedPlan.objects.filter(created_at__lt=timezone.now() - KEPT).only("id"):
        acted(by, "deleted", row)
        row.delete()
