"""Second factors of other people: require one in an organization, and reset a member's who lost theirs."""

from __future__ import annotations

from typing import Final

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.actions.acting import acted, one_act
from portal.actions.browser_session import end_sessions
from portal.actions.notice_mail import queue_notice
from portal.actions.sign_in_link import shares_account
from portal.exceptions import NotPossible
from portal.models import Membership, Organization, Principal, User

OWN: Final = gettext_lazy("This is your own account.")
SHARED: Final = gettext_lazy("Their account is also used outside this organization, so it is not reset from here.")


def require_second_factor(organization: Organization, required: bool, *, by: Principal) -> None:
    """Set whether members need a second factor. Those without one then only reach the page to set it up."""
    if organization.second_factor_required == required:
        return
    with transaction.atomic():
        organization.second_factor_required = required
        organization.save(update_fields=["second_factor_required"])
        acted(by, "second factor required" if required else "second factor made optional", organization)


def reset_fault(person: Membership, admin: Membership) -> str:
    """Return why this admin may not reset the person's second factor; "" if they may.

    A factor belongs to the person. Whoever could reset it for another organization would open that one's door, too.
    """
    if person.user_id == admin.user_id:
        return _("%(own)s Change its second factor on its own page.") % {"own": OWN}
    if shares_account(person):
        return _("%(shared)s The person asks the operator of this portal.") % {"shared": SHARED}
    return ""


def reset_by_admin(person: Membership, admin: Membership, *, by: Principal) -> None:
    """Remove all second factors of a member who belongs to this organization alone. Raises NotPossible."""
    with transaction.atomic():
        # The lock on the account keeps another organization from admitting it meanwhile.
        User.objects.select_for_update(no_key=True).get(pk=person.user_id)
        if fault := reset_fault(person, admin):
            raise NotPossible(fault)
        reset_second_factor(person.user, by=by)


def reset_second_factor(user: User, *, by: Principal) -> None:
    """Remove all second factors of an account, end its sessions, and tell its owner. Its password stays."""
    factors = Authenticator.objects.filter(user=user.pk)
    if not factors.exists():
        return
    with one_act(by, "second factor reset", user):
        factors.delete()
        end_sessions(user, by=by)
        queue_notice(user, "second_factor_reset", by=by)
