"""What became of the mail about a change, in words."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from portal.mail import is_shown
from vpn.actions.activity.plan_mail import MAIL_TRIED
from vpn.models import ChangePlan, PlanMail


def mail_words(plans: Sequence[ChangePlan]) -> dict[UUID, str]:
    """A sentence or two for each plan whose mail was asked for; one query for all of them."""
    asked = [plan for plan in plans if plan.mail_requested_at is not None]
    answered = PlanMail.objects.filter(plan__in=asked, sent_at__isnull=False).order_by().values_list("plan")
    counts = answered.annotate(
        written_count=Count("pk", filter=Q(refused=False)), refused_count=Count("pk", filter=Q(refused=True))
    )
    known = {plan: (written, refused) for plan, written, refused in counts}
    return {plan.pk: _words(plan, *known.get(plan.pk, (0, 0))) for plan in asked}


def _words(plan: ChangePlan, written: int, refused: int) -> str:
    if plan.mail_finished_at is None:
        return _unfinished(plan, written)
    if not written and not refused:
        return "No mail was needed."
    sentences = [_written(written)] if written else []
    if refused:
        sentences.append(f"The mail server refused to write to {_people(refused)}.")
    return " ".join(sentences)


def _unfinished(plan: ChangePlan, written: int) -> str:
    so_far = f"{written:,} so far" if written else "none so far"
    if plan.mail_requested_at is not None and plan.mail_requested_at < timezone.now() - MAIL_TRIED:
        return f"Not all people could be written to within a day: {so_far}."
    return f"The people concerned are being written to: {so_far}."


def _written(count: int) -> str:
    are = "is" if count == 1 else "are"
    if is_shown():
        messages = "message" if count == 1 else "messages"
        return f"The {messages} to {_people(count)} {are} with the portal's staff: no mail server is set up."
    return f"{_people(count)} {'was' if count == 1 else 'were'} written to."


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
