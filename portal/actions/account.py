"""Accounts of one mail address: their maximum number, and how the address's owner proves it by mail."""

from __future__ import annotations

from django.db import transaction

from portal.actions.acting import acted
from portal.models import ApiToken, Membership, MembershipState, Principal, User
from portal.models.user import MOST_UNPROVEN
from portal.signals import membership_changed


def is_crowded(user: User) -> bool:
    """Return True if this address has too many unproven accounts for another one to be used."""
    return User.objects.in_use(user.email).filter(proven=False).exclude(pk=user.pk).count() >= MOST_UNPROVEN


def take_address_back(user: User, *, by: Principal) -> None:
    """Make this account the proven one of its address, after its password was set through a mailed link.

    Other accounts of the address were created by links that an admin handed over. They are signed out, and their
    memberships are invited again, until the mailbox's owner accepts by a new link.
    """
    with transaction.atomic():
        everyone = list(User.objects.of_address(user.email).select_for_update())
        User.objects.filter(pk=user.pk).update(proven=True)
        user.proven = True
        acted(by, "address taken back", user)
        for other in everyone:
            if other.pk != user.pk and not other.proven and not other.is_staff and other.is_in_use:
                _take_from(other, by)


def _take_from(other: User, by: Principal) -> None:
    other.set_unusable_password()
    other.save(update_fields=["password"])
    other.passkeys.delete()
    acted(by, "password taken", other)
    ApiToken.objects.filter(membership__user=other).delete()
    for membership in Membership.objects.filter(user=other, state=MembershipState.ACTIVE).select_related("user"):
        membership.state = MembershipState.INVITED
        membership.save(update_fields=["state"])
        acted(by, "invited again", membership)
        membership_changed.send(sender=Membership, membership=membership, by=by)


def delete_unused_account(user: User, *, by: Principal) -> None:
    """Delete an unproven account that an organization created and that has no membership left."""
    if not (user.proven or user.is_staff or Membership.objects.filter(user=user.pk).exists()):
        acted(by, "deleted", user)
        user.delete()
