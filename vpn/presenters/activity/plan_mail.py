"""The state of the mail about a change, in words."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.figures import grouped
from portal.mail import is_shown
from vpn.actions.activity.plan_mail import MAIL_RETRIED
from vpn.models import ChangePlan, PlanMail


def mail_words(plans: Sequence[ChangePlan]) -> dict[UUID, str]:
    """A sentence or two for each plan whose mail was requested; one query for all of them."""
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
    sentences = [_written(written)] if written else []
    if refused:
        words = ngettext(
            "The mail server refused to write to %(count)s person.",
            "The mail server refused to write to %(count)s people.",
            refused,
        )
        sentences.append(words % {"count": grouped(refused)})
    return " ".join(sentences) or _("No mail was needed.")


def _unfinished(plan: ChangePlan, written: int) -> str:
    values = {"count": grouped(written)}
    if plan.mail_requested_at is not None and plan.mail_requested_at < timezone.now() - MAIL_RETRIED:
        if not written:
            return _("Not all messages could be sent within a day: none so far.")
        return _("Not all messages could be sent within a day: %(count)s so far.") % values
    if not written:
        return _("The people affected are being mailed: none so far.")
    return _("The people affected are being mailed: %(count)s so far.") % values


def _written(count: int) -> str:
    if is_shown():
        words = ngettext(
            "The message to %(count)s person is with the portal's staff: no mail server is set up.",
            "The messages to %(count)s people are with the portal's staff: no mail server is set up.",
            count,
        )
    else:
        words = ngettext("%(count)s person was mailed.", "%(count)s people were mailed.", count)
    return words % {"count": grouped(count)}
