"""Create an organization with its first admin, and rename it."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import get_random_string
from django.utils.text import slugify
from django.utils.translation import gettext as _

from portal.actions.acting import acted
from portal.actions.member import add_member
from portal.audit.fields import values_of
from portal.exceptions import NotPossible
from portal.models import Membership, MembershipState, Organization, Principal, Role, User
from portal.validators import (
    clean_custody_minutes,
    clean_device_limit,
    clean_organization_name,
    clean_unused_days,
)

_SLUG_LENGTH = 40
_SUFFIX_LENGTH = 6


def create_organization(name: str, owner: User, *, by: Principal) -> Membership:
    """Create an organization with `owner` as its active admin; its slug is derived from the name."""
    with transaction.atomic():
        organization = Organization.objects.create(name=name[:60], slug=_free_slug(name))
        acted(by, "created", organization)
        return Membership.objects.create(
            organization=organization, user=owner, role=Role.ADMIN, state=MembershipState.ACTIVE
        )


def rename_organization(organization: Organization, name: str, *, by: Principal) -> None:
    """Rename an organization; its slug stays. Raises InvalidInput."""
    before = values_of(organization)
    organization.name = clean_organization_name(name)
    with transaction.atomic():
        organization.save(update_fields=["name"])
        acted(by, "renamed", organization, before=before)


def set_key_window(organization: Organization, minutes: int | None, *, by: Principal) -> None:
    """Set for how many minutes private keys that the portal made can be fetched; None means the default.

    Windows that are open keep their end. Raises InvalidInput.
    """
    if organization.custody_minutes != minutes:
        _set(organization, "custody_minutes", clean_custody_minutes(minutes), "key window changed", by)


def set_device_limit(organization: Organization, devices: int | None, *, by: Principal) -> None:
    """Set how many devices a member may have and still add one; None means the default. Raises InvalidInput."""
    if organization.devices_per_member != devices:
        _set(
            organization,
            "devices_per_member",
            clean_device_limit(devices, "devices_per_member"),
            "device limit changed",
            by,
        )


def set_unused_days(organization: Organization, days: int | None, *, by: Principal) -> None:
    """Set after how many days without use new devices end; None means never. Raises InvalidInput."""
    if organization.unused_days != days:
        _set(organization, "unused_days", clean_unused_days(days), "unused days changed", by)


def switch_reminders(organization: Organization, *, off: bool, by: Principal) -> None:
    """Choose whether people are mailed before a device of theirs ends."""
    if organization.reminders_off == off:
        return
    organization.reminders_off = off
    with transaction.atomic():
        organization.save(update_fields=["reminders_off"])
        acted(by, "reminders switched", organization, changes={"reminders_off": [not off, off]})


def needs_admin(organization: Organization) -> bool:
    """Return True if no admin can sign in, so that only staff can invite one."""
    return not _admins(organization).filter(state=MembershipState.ACTIVE, user__is_active=True).exists()


def invite_admin(organization: Organization, email: str, name: str = "", *, by: Principal) -> Membership:
    """Invite an admin to an organization without one, or again if the first never joined.

    They join with `one_time_link`. Raises NotPossible if there is an admin, who then invites people.
    """
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        if not needs_admin(organization):
            raise NotPossible(
                _("%(organization)s has an admin.") % {"organization": organization.name},
                field="email",
                next_step=_("They add people on their People page."),
            )
        invited = _admins(organization).filter(state=MembershipState.INVITED, user__email__iexact=email.strip())
        return invited.first() or add_member(organization, email=email, name=name, role=Role.ADMIN, by=by)


def _admins(organization: Organization) -> QuerySet[Membership]:
    found = Membership.objects.filter(organization=organization, role=Role.ADMIN)
    return found.select_related("user", "organization")


def _free_slug(name: str) -> str:
    stem = slugify(name)[: _SLUG_LENGTH - _SUFFIX_LENGTH - 1].strip("-") or "organization"
    if not Organization.objects.filter(slug=stem).exists():
        return stem
    return f"{stem}-{get_random_string(_SUFFIX_LENGTH, 'abcdefghijkmnpqrstuvwxyz23456789')}"


def _set(organization: Organization, column: str, value: int | None, did: str, by: Principal) -> None:
    before = values_of(organization)
    setattr(organization, column, value)
    with transaction.atomic():
        organization.save(update_fields=[column])
        acted(by, did, organization, before=before)
