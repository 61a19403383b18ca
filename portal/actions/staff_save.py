"""What staff save and delete in Django admin: the line of the journal is written with the change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from portal.actions.acting import Act, acted, one_act
from portal.actions.organization import invite_admin
from portal.actions.slug import follow_name, lock_organizations_of
from portal.audit.fields import differences, values_of
from portal.exceptions import Conflict, InvalidInput
from portal.models import ApiToken, Mail, Membership, Organization, Principal, QueuedMail, User
from portal.models.queued_mail import LONGEST_FAULT
from portal.signals import membership_changed
from portal.told import as_text, told


@contextmanager
def saving(row: Model, *, by: Principal, is_new: bool = False) -> Iterator[Act]:
    """Record what the block saves of a row that a form filled in, as one act. Nothing is recorded if nothing differs.

    The values before are those of the database, locked until the transaction ends.
    """
    with transaction.atomic():
        stored = row if is_new else _locked(row)
        with one_act(by, "created" if is_new else "changed", stored, is_change=not is_new) as act:
            yield act
            act.on = row


def save_organization(
    organization: Organization, *, by: Principal, is_new: bool, email: str = "", name: str = ""
) -> tuple[Membership | None, str]:
    """Save an organization and invite its admin, if an address is given; return the invited one, or why there is none.

    What was refused does not undo the save.
    """
    invited, refused = None, ""
    with saving(organization, by=by, is_new=is_new) as act:
        organization.save()
        if email:
            try:
                invited = invite_admin(organization, email, name, by=by)
            except (Conflict, InvalidInput) as refusal:
                refused = str(refusal)
            else:
                act.details["invited"] = [invited.user.email]
    return invited, refused


def save_account(account: User, *, by: Principal) -> None:
    """Save an account, and update the hubs. Its organizations do not learn whether it is staff."""
    with transaction.atomic():
        lock_organizations_of(account.pk)
        with saving(account, by=by) as act:
            stored: Any = act.on
            account.save()
            for membership in Membership.objects.filter(user=account).select_related("user", "organization"):
                if stored.is_active != account.is_active:
                    if not account.is_active:
                        ApiToken.objects.filter(membership=membership).delete()
                    membership_changed.send(sender=Membership, membership=membership, by=by)
                follow_name(membership, stored.name, by=by)
        rights = differences(values_of(stored, kind="staff"), values_of(account, kind="staff"))
        if rights:
            acted(by, "staff rights changed", account, changes=rights)


def delete_mails(mails: QuerySet[Mail], *, by: Principal) -> None:
    """Delete mail that staff passed on."""
    with transaction.atomic():
        for mail in mails.select_for_update():
            acted(by, "deleted", mail)
            mail.delete()


def cancel_mails(mails: QuerySet[QueuedMail], *, by: Principal) -> None:
    """Delete queued mail, so that it is not sent."""
    with transaction.atomic():
        for mail in mails.select_for_update(of=("self",)):
            acted(by, "cancelled", mail)
            if mail.kind in settings.QUEUED_OUTCOMES:
                tell = import_string(settings.QUEUED_OUTCOMES[mail.kind])
                tell(mail, as_text(told("mail-cancelled"), LONGEST_FAULT), by=by)
            mail.delete()


def _locked(row: Model) -> Model:
    return type(row)._default_manager.select_for_update(no_key=True, of=("self",)).get(pk=row.pk)  # noqa: SLF001
