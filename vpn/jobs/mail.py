"""Mail to the people whom a change concerns."""

from __future__ import annotations

import logging
import time
from smtplib import SMTPException, SMTPRecipientsRefused
from uuid import UUID

from django.utils import timezone

from vpn.actions.plan_mail import give_up, people_of, write_to
from vpn.jobs import queue
from vpn.models import ChangePlan

logger = logging.getLogger(__name__)
# Who provisions waits behind it, so that it takes turns: what is left has a job of its own.
_SECONDS = 5.0


def mail_plan(plan_id: str) -> None:
    """Write to everybody whom a change concerns and who was not written to yet. Harmless to run twice."""
    plan = ChangePlan.objects.select_related("instance__server").filter(pk=UUID(plan_id)).first()
    if plan is None or plan.mail_requested_at is None or plan.mail_finished_at is not None:
        return
    begun = time.monotonic()
    for member, peers in people_of(plan).items():
        if time.monotonic() - begun > _SECONDS:
            queue.enqueue_plan_mail(plan.pk)
            return
        try:
            write_to(plan, member, peers)
        except SMTPRecipientsRefused:
            logger.warning("Mail about plan %s was refused for member %s", plan.pk, member.pk)
            give_up(plan, member)
        except (SMTPException, OSError) as error:
            # Reconcile rings again: a mail server that is away comes back.
            logger.warning("Mail about plan %s could not be sent: %s", plan.pk, type(error).__name__)
            return
    if not plan.mails.filter(sent_at=None).exists():
        ChangePlan.objects.filter(pk=plan.pk).update(mail_finished_at=timezone.now())
