"""Mail: one-time links, and notifications to members about a change."""

from __future__ import annotations

import logging
import time
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_noop

from portal.actions.queued_mail import send_queued
from portal.mail import answer_about, final_answer
from portal.models import Principal
from vpn import doorbell
from vpn.actions.activity.plan_mail import give_up, left_today, recipients_of, send_mail
from vpn.actions.servers.loss_mail import mail_staff_of_loss
from vpn.choices import ServerState
from vpn.models import ChangePlan, Server

logger = logging.getLogger(__name__)
# Mail of others waits in the same queue, so a job stops after this time and enqueues another for the rest.
_SECONDS = 5.0
_BY = Principal.portal(gettext_noop("sending queued mail"))
_LOST = Principal.portal(gettext_noop("a server is lost"))


def send_one(mail_id: str) -> None:
    """Send one queued mail. Harmless to run twice."""
    send_queued(UUID(mail_id), by=_BY)


def mail_loss(server_id: str) -> None:
    """Mail staff that a server is lost, once. If the mail server does not take it, the schedule rings again."""
    server = Server.objects.select_related("region").filter(pk=UUID(server_id), state=ServerState.LOST).first()
    if server is None:
        return
    try:
        mail_staff_of_loss(server, by=_LOST)
    except (SMTPException, OSError) as error:
        logger.warning("Mail about the server %s could not be sent: %s", server.name, type(error).__name__)


def mail_plan(plan_id: str) -> None:
    """Send mail to all members that a change affects and that have none yet. Harmless to run twice."""
    plan = ChangePlan.objects.select_related("instance__server").filter(pk=UUID(plan_id)).first()
    if plan is None or plan.mail_requested_at is None or plan.mail_finished_at is not None:
        return
    ChangePlan.objects.filter(pk=plan.pk).update(mail_tried_at=timezone.now())
    begun = time.monotonic()
    left = left_today(plan.instance.organization_id)
    for number, (member, peers) in enumerate(recipients_of(plan).items()):
        if number >= left:
            return  # The daily limit is reached. Reconcile rings again.
        if time.monotonic() - begun > _SECONDS:
            doorbell.enqueue_plan_mail(plan.pk, plan.instance.organization_id)
            return
        try:
            send_mail(plan, member, peers, by=_BY)
        except (SMTPDataError, SMTPRecipientsRefused) as refusal:
            logger.warning(
                "Mail about plan %s was refused for member %s: %d", plan.pk, member.pk, answer_about(refusal)
            )
            if final_answer(refusal):
                give_up(plan, member, by=_BY)
        except (SMTPException, OSError) as error:
            # The mail server is unreachable. Reconcile rings again.
            logger.warning("Mail about plan %s could not be sent: %s", plan.pk, type(error).__name__)
            return
    if not plan.mails.filter(sent_at=None).exists():
        ChangePlan.objects.filter(pk=plan.pk).update(mail_finished_at=timezone.now())
