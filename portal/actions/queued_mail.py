"""Send queued mail, in a separate worker, because a mail server may be slow or unreachable."""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from portal.actions.acting import acted
from portal.actions.link_mail import link_message
from portal.actions.notice_mail import notice_message
from portal.actions.reset_mail import reset_message
from portal.exceptions import NotPossible
from portal.mail import final_answer
from portal.models import MailKind, Membership, Principal, QueuedMail
from portal.models.queued_mail import LONGEST_FAULT
from portal.signals import mail_requested
from portal.told import Told, as_text, from_text, told

logger = logging.getLogger(__name__)
# By then, a worker that died or exceeded its time limit has ended.
_CLAIM_ENDS: Final = timedelta(minutes=1)
# Until then, the job that the page enqueued should have started.
_RING_HEARD: Final = timedelta(seconds=5)
_TRIED: Final = timedelta(hours=1)


def send_queued(mail_id: UUID, *, by: Principal) -> None:
    """Send one queued mail, unless it was sent or another worker is sending it.

    If the mail server is unreachable, it is retried for an hour. A permanent refusal is not retried.
    """
    now = timezone.now()
    mail = _claim(mail_id, by)
    if mail is None:
        return
    if mail.requested_at < now - _TRIED:
        _end(mail, told("mail-given-up", why=_without_end(mail.fault)), by)
        return
    try:
        _message(mail).send()
    except NotPossible as refusal:
        _end(mail, refusal.told or refusal.message, by)
    except (SMTPException, OSError) as error:
        _note_failure(mail, error, by)
    else:
        _end(mail, "", by)


def send_again(mail: QueuedMail, *, by: Principal) -> bool:
    """Let a worker send a mail now, and try for another hour; False if one is sending it, or it was sent."""
    now = timezone.now()
    with transaction.atomic():
        free = QueuedMail.objects.filter(Q(claimed_at=None) | Q(claimed_at__lte=now - _CLAIM_ENDS), pk=mail.pk)
        if not free.update(requested_at=now, claimed_at=None, fault=""):
            return False
        acted(by, "requested again", mail)
        organization_id = None if mail.membership is None else mail.membership.organization_id
        mail_requested.send(sender=QueuedMail, mail_id=mail.pk, organization_id=organization_id)
    return True


def due_mail() -> QuerySet[QueuedMail]:
    """Queued mail that no worker is sending after a while: its job was lost, or a retry is due."""
    now = timezone.now()
    unheard = Q(claimed_at=None, requested_at__lt=now - _RING_HEARD)
    return QueuedMail.objects.filter(unheard | Q(claimed_at__lt=now - _CLAIM_ENDS))


def health() -> str:
    """ "ok", or the number of mails that the mail server has not accepted."""
    count = QueuedMail.objects.filter(claimed_at__lt=timezone.now() - _CLAIM_ENDS).count()
    return f"The mail server has not taken {count} mails yet; staff see them in /admin/." if count else "ok"


def _claim(mail_id: UUID, by: Principal) -> QueuedMail | None:
    """Claim the mail for this worker and return it. An earlier try without a result exceeded its time limit."""
    now = timezone.now()
    before = QueuedMail.objects.select_related("membership__user", "membership__organization").filter(pk=mail_id)
    mail = before.first()
    if mail is None:
        return None
    fault = mail.fault or ("" if mail.claimed_at is None else _text(told("mail-slow")))
    free = Q(claimed_at=None) | Q(claimed_at__lte=now - _CLAIM_ENDS)
    if not QueuedMail.objects.filter(free, pk=mail_id).update(claimed_at=now, fault=fault):
        return None
    mail.fault = fault
    if fault:
        _show(mail, fault, by)
    return mail


def _message(mail: QueuedMail) -> EmailMessage:
    if mail.kind == MailKind.NOTICE:
        return notice_message(mail)
    if mail.kind in settings.QUEUED_MESSAGES:
        made: EmailMessage = import_string(settings.QUEUED_MESSAGES[mail.kind])(mail)
        return made
    if mail.membership is None:
        return reset_message(mail.address)
    return link_message(mail.membership)


def _note_failure(mail: QueuedMail, error: SMTPException | OSError, by: Principal) -> None:
    """Keep the mail for another try, or give up. Neither the address nor the link is logged."""
    logger.warning("Queued mail %s was not taken: %s", mail.pk, type(error).__name__)
    if code := final_answer(error):
        _end(mail, told("mail-refused", answer=str(code)), by)
        return
    fault = _text(told("mail-retried", error=type(error).__name__))
    QueuedMail.objects.filter(pk=mail.pk).update(fault=fault)
    _show(mail, fault, by)


def _text(fault: Told | str) -> str:
    return as_text(fault, LONGEST_FAULT)


def _without_end(fault: str) -> Told | str:
    """A fault without the promise to try again."""
    kept = from_text(fault)
    if isinstance(kept, str):
        return kept.removesuffix(" It is tried again every minute, for an hour.") or told("mail-not-taken")
    return told("mail-failed", error=kept["error"]) if kept["code"] == "mail-retried" else kept


def _end(mail: QueuedMail, fault: Told | str, by: Principal) -> None:
    """Delete a mail that was sent or given up, unless it was requested again meanwhile."""
    with transaction.atomic():
        ended, _ = QueuedMail.objects.filter(pk=mail.pk, requested_at=mail.requested_at).delete()
        if ended:
            # A stranger asked for a password mail: that has a line, and one is enough if the mail is sent.
            if mail.membership is not None or mail.organization_id is not None or fault:
                acted(by, "given up" if fault else "sent", mail)
            _show(mail, _text(fault), by)


def _show(mail: QueuedMail, fault: str, by: Principal) -> None:
    """Show the fault on the person's page, or where such mail was asked for; "" if it was sent.

    Faults of password mails are shown only in the staff's list of mail.
    """
    if mail.kind in settings.QUEUED_OUTCOMES:
        import_string(settings.QUEUED_OUTCOMES[mail.kind])(mail, fault, by=by)
    if mail.membership is not None:
        asked = Membership.objects.filter(pk=mail.membership.pk)
        asked.update(link_fault=fault)
